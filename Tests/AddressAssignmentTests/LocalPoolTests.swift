import AddressAssignment
import GatewayTesting
import Testing
import Wire

/// 10.20.0.0/16 with one range, a hold time of an hour.
private func settings(
    _ begin: String = "10.20.1.0", _ end: String = "10.20.1.3", reserved: Set<IPAddress> = [],
    hold: Duration = .seconds(3600)
) throws -> LocalPool.Settings {
    let range = try #require(AddressRange(try address(begin), try address(end)))
    return LocalPool.Settings(
        name: PoolName(server: "rw", pool: "staff"), subnet: try #require(IPPrefix("10.20.0.0/16")), ranges: [range],
        dns: [try address("10.20.0.1")], leaseHoldTime: hold, reserved: reserved)
}

private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

@Suite("LAA from a local pool (ADDR-4)")
struct LocalPoolTests {
    @Test func ADDR4_grantsInOrderUntilTheRangeIsUsedUp() throws {
        var pool = AddressSourceContract(LocalPool(try settings()))
        for (name, expected) in [("a", "10.20.1.0"), ("b", "10.20.1.1"), ("c", "10.20.1.2"), ("d", "10.20.1.3")] {
            let lease = try pool.request(name).get()
            #expect(lease.address == (try address(expected)))
            let gateway = try address("10.20.0.1")
            #expect(lease.subnet.netmask.description == "255.255.0.0" && lease.dns == [gateway])
        }
        #expect(pool.request("e") == .failure(.exhausted(PoolName(server: "rw", pool: "staff"))))
        #expect(pool.source.status == LocalPool.Status(size: 4, live: 4, resting: 0, held: 0))
        #expect(pool.violations == [])
    }

    @Test func ADDR8_secondLiveSessionOfOneIdentityGetsAnotherAddress() throws {
        var pool = AddressSourceContract(LocalPool(try settings()))
        let first = try pool.request("alice").get()
        let second = try pool.request("alice").get()
        #expect(first.address != second.address)
        #expect(pool.violations == [])
    }

    @Test func ADDR4_stickyForAReturningIdentityAtAnyTimeWithinTheHold() throws {
        for pause in [Duration.zero, .seconds(1), .seconds(31), .seconds(3600), .seconds(3629)] {
            var pool = AddressSourceContract(LocalPool(try settings()))
            _ = try pool.request("other").get()
            let lease = try pool.request("alice").get()
            pool.release(lease)
            pool.advance(by: pause)
            #expect(try pool.request("alice").get().address == lease.address, "after \(pause)")
            #expect(pool.violations == [])
        }
    }

    /// Who comes again to its own address waits for no disk; whoever gets somebody else's does, and so does one whose record never got there.
    @Test func ADDR4_onlyANewOwnerMustBeOnTheDiskFirst() throws {
        var pool = LocalPool(try settings("10.20.1.0", "10.20.1.0"))
        var now = Instant(nanoseconds: 1)
        var session: UInt64 = 0
        func comesAndGoes(_ identity: String, isStored: Bool = true) throws -> Bool {
            session += 1
            var outputs: [AddressOutput] = []
            let request = LeaseRequest(identity: identity, wanted: nil, family: .ipv4, session: LeaseSession(session))
            pool.handle(.request(RequestID(session), request), at: now, into: &outputs)
            let waits = outputs.contains { if case .store = $0 { true } else { false } }
            let lease = try #require(outputs.compactMap { if case .granted(_, let lease) = $0 { lease } else { nil } }.first)
            if isStored { pool.handle(.stored(lease), at: now, into: &outputs) }
            pool.handle(.release(lease), at: now, into: &outputs)
            now = now + .seconds(31)
            return waits
        }
        let waits = [try comesAndGoes("alice", isStored: false)] + (try ["alice", "alice", "bob", "bob", "alice"].map { try comesAndGoes($0) })
        #expect(waits == [true, true, false, true, false, true])
    }

    @Test func threat_P30_quarantineKeepsAReturnedAddressFromOthers() throws {
        var pool = AddressSourceContract(LocalPool(try settings("10.20.1.0", "10.20.1.0")))
        pool.release(try pool.request("alice").get())
        pool.advance(by: .milliseconds(29_999))
        #expect(throws: AddressRefusal.self) { try pool.request("bob").get() }
        #expect(throws: AddressRefusal.self) { try pool.request("bob", wanted: try address("10.20.1.0")).get() }
        pool.advance(by: .milliseconds(1))
        #expect(try pool.request("bob").get().address == (try address("10.20.1.0")))
        #expect(pool.violations == [])
    }

    @Test func ADDR4_heldLeasesAreTakenOldestFirstOnlyWhenNothingElseIsLeft() throws {
        var pool = AddressSourceContract(LocalPool(try settings("10.20.1.0", "10.20.1.2")))
        let alice = try pool.request("alice").get()
        let bob = try pool.request("bob").get()
        pool.release(bob)
        pool.advance(by: .seconds(1))
        pool.release(alice)
        pool.advance(by: .seconds(100))
        #expect(try pool.request("carol").get().address == (try address("10.20.1.2")), "the one never used comes first")
        #expect(try pool.request("dave").get().address == bob.address, "then the one held for longest")
        #expect(try pool.request("alice").get().address == alice.address)
        #expect(pool.violations == [])
    }

    @Test func ADDR4_afterTheHoldAnAddressIsAnybodysAndForgotten() throws {
        var pool = AddressSourceContract(LocalPool(try settings("10.20.1.0", "10.20.1.1")))
        let alice = try pool.request("alice").get()
        _ = try pool.request("bob").get()
        pool.release(alice)
        #expect(pool.disk[alice.address]?.isLive == false)
        pool.advance(by: .seconds(3630))
        #expect(pool.disk[alice.address] == nil)
        #expect(pool.source.status == LocalPool.Status(size: 2, live: 1, resting: 0, held: 0))
        #expect(try pool.request("carol").get().address == alice.address)
        #expect(pool.violations == [])
    }

    @Test func ADDR4_wantedAddressIsHonouredIfItIsFree() throws {
        var pool = AddressSourceContract(LocalPool(try settings("10.20.1.0", "10.20.1.9")))
        #expect(try pool.request("a", wanted: try address("10.20.1.7")).get().address == (try address("10.20.1.7")))
        #expect(try pool.request("b", wanted: try address("10.20.1.7")).get().address == (try address("10.20.1.0")))
        for foreign in ["10.20.2.1", "192.0.2.1", "0.0.0.0", "2001:db8::1"] {
            #expect(try pool.request("c", wanted: try address(foreign)).get().address.description.hasPrefix("10.20.1."))
        }
        #expect(pool.violations == [])
    }

    @Test func ADDR4_neverTheNetworkTheBroadcastOrTheGatewaysOwn() throws {
        let subnet = try #require(IPPrefix("10.9.0.0/29"))
        let own = try address("10.9.0.1")
        let range = try #require(AddressRange(try address("10.9.0.0"), try address("10.9.0.7")))
        let name = PoolName(server: "s", pool: "p")
        var pool = AddressSourceContract(
            LocalPool(LocalPool.Settings(name: name, subnet: subnet, ranges: [range], reserved: [own])))
        #expect(pool.source.status.size == 5)
        for bad in ["10.9.0.0", "10.9.0.1", "10.9.0.7"] {
            #expect(try pool.request("x", wanted: try address(bad)).get().address != (try address(bad)))
        }
        #expect(try pool.request("x").get().address == (try address("10.9.0.5")))
        #expect(try pool.request("x").get().address == (try address("10.9.0.6")))
        #expect(pool.request("x") == .failure(.exhausted(name)))
        #expect(pool.violations == [])
    }

    @Test func V6_2_aHugeRangeCostsNoMemoryAheadOfUse() throws {
        let subnet = try #require(IPPrefix("2001:db8::/64"))
        var pool = AddressSourceContract(
            LocalPool(LocalPool.Settings(name: PoolName(server: "s", pool: "p"), subnet: subnet, ranges: [subnet.range])))
        #expect(try pool.request("a", family: .ipv6).get().address == (try address("2001:db8::1")))
        #expect(pool.request("a") == .failure(.wrongFamily(.ipv4)))
        #expect(pool.source.status.size == .max)
    }

    @Test func threat_C11_identitiesWithoutTextOrWithoutEndAreRefused() throws {
        var pool = AddressSourceContract(LocalPool(try settings()))
        #expect(pool.request("") == .failure(.badIdentity))
        #expect(pool.request(String(repeating: "x", count: 265)) == .failure(.badIdentity))
        #expect(try pool.request(String(repeating: "x", count: 264)).get().address == (try address("10.20.1.0")))
    }

    @Test func X8_takeOverMovesALeaseWithoutReleasingIt() throws {
        var pool = AddressSourceContract(LocalPool(try settings()))
        let old = try pool.request("alice").get()
        let new = try pool.takeOver(old).get()
        #expect(new.address == old.address && new.session != old.session)
        pool.release(old)
        #expect(pool.source.status.live == 1, "the old session gives back what is no longer its own")
        #expect(pool.takeOver(old) == .failure(.notLeased))
        pool.release(new)
        #expect(pool.source.status.live == 0)
        #expect(pool.violations == [])
    }

    @Test func ADDR4_releasedTwiceOrForgedChangesNothing() throws {
        var pool = AddressSourceContract(LocalPool(try settings()))
        let alice = try pool.request("alice").get()
        pool.release(alice)
        let bob = try pool.request("bob", wanted: alice.address).get()
        #expect(bob.address != alice.address)
        pool.release(alice)
        #expect(pool.source.status.live == 1)
        #expect(pool.violations == [])
    }

    @Test func restart_keepsLeasesForTheirIdentitiesAndGivesNoneTwice() throws {
        var before = AddressSourceContract(LocalPool(try settings()))
        let alice = try before.request("alice").get()
        let bob = try before.request("bob").get()
        let carol = try before.request("carol").get()
        before.release(bob)
        // killed here: alice and carol live, bob resting
        var pool = LocalPool(try settings())
        var outputs: [AddressOutput] = []
        let now = Instant(nanoseconds: 5)
        pool.restore(Array(before.disk.values), at: now, into: &outputs)
        var after = AddressSourceContract(pool, disk: before.disk, outputs: outputs, at: now)
        #expect(after.source.status == LocalPool.Status(size: 4, live: 0, resting: 3, held: 0))
        #expect(after.disk.values.allSatisfy { !$0.isLive })
        #expect(try after.request("dave").get().address == (try address("10.20.1.3")))
        #expect(throws: AddressRefusal.self) { try after.request("eve").get() }
        #expect(try after.request("carol").get().address == carol.address)
        #expect(try after.request("alice").get().address == alice.address)
        after.advance(by: .seconds(30))
        #expect(try after.request("eve").get().address == bob.address, "taken from those held")
        #expect(after.violations == [])
    }

    @Test func restart_forgetsRecordsOutsideTheRangesAndBrokenOnes() throws {
        var pool = LocalPool(try settings())
        let name = pool.settings.name
        let records = [
            LeaseRecord(pool: name, address: try address("10.20.9.9"), identity: "a", isLive: true),
            LeaseRecord(pool: name, address: try address("10.20.1.1"), identity: "", isLive: true),
            LeaseRecord(pool: PoolName(server: "x", pool: "y"), address: try address("10.20.1.2"), identity: "b", isLive: true),
        ]
        var outputs: [AddressOutput] = []
        pool.restore(records, at: Instant(nanoseconds: 0), into: &outputs)
        #expect(outputs == [.forget(records[0]), .forget(records[1])])
        #expect(pool.status.free == 4)
    }

    @Test func reload_newRangesHoldForNewLeasesAndOldOnesStay() throws {
        var pool = LocalPool(try settings("10.20.1.0", "10.20.1.1"))
        var outputs: [AddressOutput] = []
        let now = Instant(nanoseconds: 0)
        let request = LeaseRequest(identity: "alice", family: .ipv4, session: LeaseSession(1))
        pool.handle(.request(RequestID(1), request), at: now, into: &outputs)
        guard case .granted(_, let alice)? = outputs.last else { throw AddressRefusal.notLeased }
        pool.reconfigure(try settings("10.20.5.0", "10.20.5.0"), at: now, into: &outputs)
        outputs = []
        pool.handle(.request(RequestID(2), LeaseRequest(identity: "bob", family: .ipv4, session: LeaseSession(2))), at: now, into: &outputs)
        guard case .granted(_, let bob)? = outputs.first(where: { if case .granted = $0 { true } else { false } }) else {
            throw AddressRefusal.notLeased
        }
        #expect(bob.address == (try address("10.20.5.0")))
        #expect(pool.status.live == 2)
        outputs = []
        pool.handle(.release(alice), at: now, into: &outputs)
        pool.handle(.deadline, at: now + .seconds(30), into: &outputs)
        #expect(outputs.contains { if case .forget(let record) = $0 { record.address == alice.address } else { false } })
    }

    /// I2: random schedules of many identities, with restarts, against the contract's model.
    @Test(arguments: (0..<40).map { UInt64($0) &* 7919 &+ 1 })
    func threat_I2_oneOwnerPerAddressInRandomSchedules(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let size = Int.random(in: 1...24, using: &random)
        let settings = try settings("10.20.1.0", "10.20.1.\(size - 1)", hold: .seconds(Int.random(in: 0...120, using: &random)))
        var pool = AddressSourceContract(LocalPool(settings))
        var lastFor: [String: Set<IPAddress>] = [:]
        for step in 0..<300 {
            let identity = "user\(Int.random(in: 0..<12, using: &random))"
            switch Int.random(in: 0..<12, using: &random) {
            case 0..<5:
                let wish =
                    Bool.random(using: &random)
                    ? IPAddress(v4: 0x0a14_0100 + UInt32.random(in: 0..<32, using: &random)) : nil
                if case .success(let lease) = pool.request(identity, wanted: wish) {
                    lastFor[identity, default: []].insert(lease.address)
                    #expect(settings.ranges[0].contains(lease.address))
                }
            case 5..<9:
                if let lease = pool.owners.values.sorted(by: { $0.address < $1.address }).randomElement(using: &random) {
                    pool.release(lease)
                }
            case 9: pool.advance(by: .seconds(Int.random(in: 0...40, using: &random)))
            case 10:
                if let lease = pool.owners.values.sorted(by: { $0.address < $1.address }).randomElement(using: &random) {
                    _ = pool.takeOver(lease)
                }
            default:
                var outputs: [AddressOutput] = []
                var restarted = LocalPool(settings)
                restarted.restore(pool.disk.values.sorted { $0.address < $1.address }, at: pool.now, into: &outputs)
                pool = AddressSourceContract(restarted, disk: pool.disk, outputs: outputs, at: pool.now)
            }
            let status = pool.source.status
            #expect(status.live == pool.owners.count && status.live + status.resting + status.held <= size, "seed \(seed) step \(step)")
            #expect(pool.disk.count == status.live + status.resting + status.held, "seed \(seed) step \(step)")
            try #require(pool.violations == [], "seed \(seed) step \(step)")
        }
        for lease in pool.owners.values { pool.release(lease) }
        pool.advance(by: .seconds(300))
        #expect(pool.source.status.free == pool.source.status.size && pool.disk.isEmpty, "I12, seed \(seed)")
    }

    @Test func rule7_largePoolsStayFast() throws {
        var pool = LocalPool(try settings("10.20.0.0", "10.20.255.255"))
        var outputs: [AddressOutput] = []
        var leases: [Lease] = []
        let clock = ContinuousClock()
        let duration = clock.measure {
            for round in 0..<2 {
                let now = Instant(nanoseconds: UInt64(round) * 1_000_000_000)
                for number in 0..<60_000 {
                    outputs.removeAll(keepingCapacity: true)
                    let request = LeaseRequest(identity: "one for all", family: .ipv4, session: LeaseSession(UInt64(number)))
                    pool.handle(.request(RequestID(1), request), at: now, into: &outputs)
                    for case .granted(_, let lease) in outputs { leases.append(lease) }
                }
                for lease in leases { pool.handle(.release(lease), at: now, into: &outputs) }
                #expect(leases.count == 60_000)
                leases = []
            }
        }
        print("120000 grants and releases of one identity: \(duration)")
        #expect(duration < .seconds(20), "each takes constant time")
    }
}

import AddressAssignment
import GatewayTesting
import Testing
import Wire

private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }
private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

private func interface() throws -> AddressSourceContract<GivenAddresses> {
    AddressSourceContract(
        GivenAddresses(
            GivenAddresses.Settings(
                name: PoolName(server: "radius", pool: "corporate/priv0"),
                prefixes: [try prefix("10.20.0.0/16"), try prefix("2001:db8:20::/64")],
                reserved: [try address("10.20.0.1"), try address("2001:db8:20::1")])))
}

@Suite("Addresses that a RADIUS server gives (ADDR-2, X-8)")
struct GivenAddressesTests {
    @Test func RAD5_theServersAddressIsGivenAsItIs() throws {
        var source = try interface()
        let lease = try source.request("4bob", wanted: try address("10.20.3.4")).get()
        #expect(lease.address.description == "10.20.3.4" && lease.subnet.netmask.description == "255.255.0.0")
        let sixth = try source.request("4bob", wanted: try address("2001:db8:20::77"), family: .ipv6).get()
        #expect(sixth.address.description == "2001:db8:20::77")
        #expect(source.violations == [] && source.source.count == 2)
    }

    @Test(arguments: [
        "10.21.0.1", "192.0.2.1", "10.20.0.1", "10.20.0.0", "10.20.255.255", "0.0.0.0", "255.255.255.255", "127.0.0.1",
    ])
    func X8_anAddressForNoClientIsRefused(_ text: String) throws {
        var source = try interface()
        let given = try address(text)
        #expect(source.request("4bob", wanted: given) == .failure(.outside(given)))
        #expect(source.source.count == 0 && source.disk.isEmpty)
    }

    @Test func X8_anAddressHasOneOwner() throws {
        var source = try interface()
        let given = try address("10.20.3.4")
        let lease = try source.request("4bob", wanted: given).get()
        #expect(source.request("4eve", wanted: given) == .failure(.ownedByAnother(given)))
        #expect(source.request("4bob", wanted: given) == .failure(.inUse(given, by: lease.session)))
        let taken = try source.takeOver(lease).get()
        source.release(lease)
        #expect(source.source.owner(of: given) == taken, "who was replaced gives nothing back")
        source.release(taken)
        #expect(try source.request("4eve", wanted: given).get().address == given)
        #expect(source.violations == [])
    }

    @Test func RAD5_withoutAnAddressThereIsNone() throws {
        var source = try interface()
        #expect(source.request("4bob") == .failure(.notGiven(.ipv4)))
        #expect(source.request("4bob", wanted: try address("2001:db8:20::77")) == .failure(.wrongFamily(.ipv4)))
        #expect(source.request("", wanted: try address("10.20.3.4")) == .failure(.badIdentity))
    }

    @Test func V6_3_aShorterPrefixGetsAFreeHostPartThatIsNeverZero() throws {
        var source = try interface()
        let block = try prefix("2001:db8:20::40/126")
        var seen: Set<IPAddress> = []
        for name in ["4a", "4b", "4c"] {
            let lease = try source.request(name, within: block, family: .ipv6).get()
            #expect(block.contains(lease.address) && lease.address != block.address)
            seen.insert(lease.address)
        }
        #expect(seen.count == 3)
        #expect(source.request("4d", within: block, family: .ipv6) == .failure(.exhausted(PoolName(server: "radius", pool: "corporate/priv0"))))
        let elsewhere = try prefix("2001:db8:21::/64")
        #expect(source.request("4d", within: elsewhere, family: .ipv6) == .failure(.outside(elsewhere.address)))
        #expect(source.violations == [])
    }

    @Test func V6_3_aClientFindsItsHostPartAgain() throws {
        var source = try interface()
        let block = try prefix("2001:db8:20::/64")
        let first = try source.request("4bob", within: block, family: .ipv6).get()
        source.release(first)
        #expect(try source.request("4bob", within: block, family: .ipv6).get().address == first.address)
    }

    @Test func restart_forgetsWhatAnEarlierDaemonGave() throws {
        var source = try interface()
        _ = try source.request("4bob", wanted: try address("10.20.3.4")).get()
        var outputs: [AddressOutput] = []
        source.source.restore(Array(source.disk.values), into: &outputs)
        #expect(outputs.count == 1 && source.disk.count == 1)
        guard case .forget(let record)? = outputs.first else {
            Issue.record("not forgotten")
            return
        }
        #expect(record.address.description == "10.20.3.4")
    }
}

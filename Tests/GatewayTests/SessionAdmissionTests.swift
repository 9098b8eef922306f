import AddressAssignment
import Datapath
import Foundation
import GatewayCrypto
import IKEMessages
import Logging
import NIOPosix
import RADIUS
import StateStore
import Synchronization
import Testing
import Wire

@testable import Gateway
@testable import IKE

/// Nobody knocks.
private final class NoDoor: DoorReceiver {
    func receive(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, at now: Instant, reply: (UnsafeRawBufferPointer) -> Void
    ) {}
    func drained(at now: Instant) {}
    func woken(at now: Instant) {}
}

@Suite("Sessions by the names that RADIUS gives")
struct SessionAdmissionTests {
    /// Sessions without packets.
    private final class Rig: Sendable {
        let sessions: Sessions
        let gateway: GatewayRuntime
        let ended = Ended()
        private let last = Mutex(UInt64(0))

        init(_ text: String, folder: String) throws {
            let plan = try RADIUSGateway.plan(gateway: text)
            gateway = try RADIUSGateway.runtime(plan)
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let store = try StateStore(directory: folder)
            let ended = ended
            sessions = Sessions(
                addresses: Addresses(store: store, logger: logger),
                datapath: try Datapath(plan.datapath, door: NoDoor(), entropy: SystemEntropy()),
                log: EventLog(logger), routes: ClientRoutes(logger: logger),
                accounting: Accounting(store: store, group: MultiThreadedEventLoopGroup.singleton, entropy: SystemEntropy(), logger: logger),
                accountingIDs: AccountingIDs()
            ) { reference, _ in ended.add(reference.id) }
        }

        /// Whose IKE SAs were closed, in order.
        final class Ended: Sendable {
            private let ids = Mutex<[UInt64]>([])
            func add(_ id: UInt64) { ids.withLock { $0.append(id) } }
            var all: [UInt64] { ids.withLock { $0 } }
        }

        /// A login that comes.
        func come(
            _ user: String, idi: String, proof: ProofKind = .eap, at address: String, contact: Bool = false,
            _ change: (inout AccessAccept) -> Void = { _ in }
        ) throws -> Coming {
            let id = last.withLock { last in
                last += 1
                return last
            }
            let remote = Endpoint(IPAddress(v4: 0x0b00_0000 | UInt32(id)), port: 4500)
            var accept = AccessAccept()
            accept.framedIPAddress = IPAddress(address).map { .address($0) }
            change(&accept)
            let authorization = try Authorization(accept, server: "aaa0", userName: Array(user.utf8), acctSessionID: "s\(id)", gateway: gateway)
            var wish = AddressWish()
            wish.ipv4 = true
            let question = AddressQuestion(
                peer: IdentificationPayload(type: .fqdn, data: Array(idi.utf8)), proof: proof, eapIdentity: proof == .eap ? Array(user.utf8) : nil,
                wish: wish, initialContact: contact, remote: remote)
            return Coming(sessions: sessions, gateway: gateway, id: id, question: question, authorization: authorization)
        }

        var live: [UInt64] {
            get async { await sessions.sessions.values.filter { $0.teardown == nil && !$0.leases.isEmpty }.map(\.id).sorted() }
        }
    }

    /// Few words of arguments for what waits (see `Sessions.admit`).
    private struct Coming: Sendable {
        let sessions: Sessions
        let gateway: GatewayRuntime
        let id: UInt64
        let question: AddressQuestion
        let authorization: Authorization

        /// Its number where it is let in; throws why it is not.
        func get() async throws(Refused) -> UInt64 {
            switch await sessions.admit(
                question, sa: SAReference(shard: 0, id: id), local: Endpoint(RADIUSGateway.address, port: 4500), gateway: gateway,
                authorization: authorization)
            {
            case .granted: return id
            case .unavailable(let cause): throw Refused(cause: cause, isAboutAddress: true)
            case .refused(let cause): throw Refused(cause: cause, isAboutAddress: false)
            }
        }
    }

    private struct Refused: Error {
        let cause: String
        let isAboutAddress: Bool
    }

    private static func with(_ text: String, _ body: (Rig) async throws -> Void) async throws {
        let folder = "/tmp/gws-\(UInt32.random(in: 0 ... .max))"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(Rig(text, folder: folder))
    }

    @Test("X-11, threat_P17: the same name and IDi replace each other; another IDi is another device, another name another user")
    func X_11_replaced() async throws {
        try await Self.with("    uniqueness: replace") { rig in
            let phone = try await rig.come("alice", idi: "phone", at: "10.99.0.20").get()
            let laptop = try await rig.come("alice", idi: "laptop", at: "10.99.0.21").get()
            let other = try await rig.come("carol", idi: "phone", at: "10.99.0.22").get()
            #expect(await rig.live == [phone, laptop, other] && rig.ended.all == [])
            let again = try await rig.come("alice", idi: "phone", at: "10.99.0.20").get()
            #expect(await rig.live == [laptop, other, again] && rig.ended.all == [phone])
        }
    }

    @Test("threat_P36: a name proved by the group's key does not push out the one that was proved otherwise")
    func threat_P36_proofs() async throws {
        try await Self.with("    uniqueness: replace") { rig in
            let owner = try await rig.come("alice", idi: "alice", proof: .certificate, at: "10.99.0.20").get()
            let second = try await rig.come("alice", idi: "alice", proof: .sharedKey, at: "10.99.0.21", contact: true).get()
            #expect(await rig.live == [owner, second] && rig.ended.all == [])
        }
    }

    @Test("uniqueness: keep refuses the second, unless INITIAL_CONTACT says that the first is gone; never lets both live")
    func uniqueness() async throws {
        try await Self.with("    uniqueness: keep") { rig in
            let first = try await rig.come("alice", idi: "phone", at: "10.99.0.20").get()
            await #expect(throws: Refused.self) { try await rig.come("alice", idi: "phone", at: "10.99.0.21").get() }
            let contact = try await rig.come("alice", idi: "phone", at: "10.99.0.21", contact: true).get()
            #expect(await rig.live == [contact] && rig.ended.all == [first])
        }
        try await Self.with("    uniqueness: never") { rig in
            let first = try await rig.come("alice", idi: "phone", at: "10.99.0.20").get()
            let second = try await rig.come("alice", idi: "phone", at: "10.99.0.21").get()
            #expect(await rig.live == [first, second] && rig.ended.all == [])
        }
    }

    @Test(
        "X-3: Port-Limit overrides max-sessions-per-user, which counts the name that RADIUS gives, not IDi", arguments: ["reject", "replace-oldest"])
    func X_3_portLimit(action: String) async throws {
        try await Self.with("    max-sessions-per-user: 3\n    session-limit-action: \(action)") { rig in
            func come(_ number: Int, _ limit: UInt32?) throws -> Coming {
                try rig.come("alice", idi: "device\(number)", at: "10.99.0.\(20 + number)") { $0.portLimit = limit }
            }
            for number in 1...3 { _ = try await come(number, nil).get() }
            _ = try await rig.come("carol", idi: "device1", at: "10.99.0.40").get()
            if action == "reject" {
                await #expect(throws: Refused.self) { try await come(4, nil).get() }
                #expect(await rig.live == [1, 2, 3, 4] && rig.ended.all == [])
                await #expect(throws: Refused.self) { try await come(5, 2).get() }
            } else {
                _ = try await come(4, nil).get()
                #expect(await rig.live == [2, 3, 4, 5] && rig.ended.all == [1])
                // two of them at most from now on
                _ = try await come(5, 2).get()
                #expect(await rig.live == [4, 5, 6] && Set(rig.ended.all) == [1, 2, 3])
            }
            // 0: no limit
            _ = try await come(6, 0).get()
        }
    }

    @Test("X-8, invariant I2: an address that another has is refused; the same name and IDi takes it over, whatever uniqueness says")
    func X_8_owners() async throws {
        try await Self.with("    uniqueness: never") { rig in
            let first = try await rig.come("alice", idi: "phone", at: "10.99.0.20").get()
            for (user, idi) in [("carol", "phone"), ("carol", "laptop")] {
                do {
                    _ = try await rig.come(user, idi: idi, at: "10.99.0.20").get()
                    Issue.record("\(user) has it too")
                } catch {
                    #expect((error as? Refused)?.isAboutAddress == true)
                }
            }
            for outside in ["10.50.0.1", "10.99.0.1", "10.98.0.20"] {
                do {
                    _ = try await rig.come("dave", idi: "dave", at: outside).get()
                    Issue.record("\(outside) is given")
                } catch {
                    #expect((error as? Refused)?.isAboutAddress == true, "\(outside)")
                }
            }
            #expect(rig.ended.all == [])
            let again = try await rig.come("alice", idi: "phone", at: "10.99.0.20").get()
            #expect(rig.ended.all == [first])
            #expect(await rig.live == [again])
        }
    }

    @Test("threat_I12: after every end nothing is left of a session, and its counters are not asked for")
    func threat_I12_nothingLeft() async throws {
        try await Self.with("    uniqueness: replace") { rig in
            for number in 0..<50 { _ = try await rig.come("user\(number % 10)", idi: "idi\(number % 7)", at: "10.99.0.\(20 + number)").get() }
            for id in await rig.sessions.sessions.keys { await rig.sessions.end(id, .disconnected) }
            #expect(await rig.sessions.sessions.isEmpty)
            #expect(await rig.sessions.byUser.isEmpty)
            #expect(await rig.sessions.byAccounting.isEmpty)
            #expect(await rig.sessions.counters(accounting: "s1") == nil)
            // The addresses are free again.
            _ = try await rig.come("erin", idi: "erin", at: "10.99.0.30").get()
        }
    }
}

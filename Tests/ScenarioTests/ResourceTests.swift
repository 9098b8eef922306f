import Foundation
import GatewayCrypto
import IKEMessages
import Lab
import LinuxIO
import RoadWarrior
import Testing
import Wire

@testable import ipsec_load

/// A client with a Child SA for each of two resources of its own, RFC 9611. Debian's strongSwan does not know that and `ipsec-load` does not ask for it,
/// so the client is played here, with RoadWarrior and a socket of its own.
///
/// ```
///  client 198.51.101.2 ---- internet ---- 192.0.2.1 gateway, 2 workers, 10.20.0.1 ---- 10.20.0.2 host, returns datagrams
/// ```
@Suite(.watched)
struct ResourceTests {
    static let datagrams = 20

    /// One road warrior; one thread at a time drives it.
    private final class Client: @unchecked Sendable {
        private var warrior: RoadWarrior
        private(set) var established: RoadWarrior.Established?
        private(set) var closure: RoadWarrior.Closure?
        /// Payloads of UDP datagrams that came through the tunnel.
        private(set) var returned: Set<[UInt8]> = []
        private var port: UDPPort
        private var incoming = Batch(capacity: 64, room: 2048)
        private var outputs: [RoadWarrior.Output] = []

        /// Our SPIs, the first Child SA's first.
        var children: [UInt32] { warrior.childSAs.map(\.inboundSPI) }

        init() throws {
            let port = try UDPPort(Endpoint(IPAddress(family: .ipv4, value: 0), port: 0), options: UDPOptions())
            var settings = RoadWarrior.Settings(
                presharedKey: Secret([UInt8](GatewaySettings.psk.utf8)), identity: IdentificationPayload(form: "carol.test"),
                remoteIdentity: IdentificationPayload(form: "gw.test"), local: port.local,
                remote: Endpoint(try #require(IPAddress(RoadNetwork.gatewayAddress)), port: 500))
            settings.localNATPort = port.local.port
            settings.natClaim = .behindNAT
            settings.authNotifies = [NotifyPayload(.saResourceInfo)]
            warrior = RoadWarrior(settings)
            self.port = port
        }

        /// Logs in; whether there is a Child SA.
        func logIn() throws -> Bool {
            warrior.start(at: MonotonicClock.now, into: &outputs)
            return try serve { $0.children.count == 1 }
        }

        /// Asks for a further Child SA; whether there is one.
        func addResource() throws -> Bool {
            warrior.addResource(at: MonotonicClock.now, into: &outputs)
            return try serve { $0.children.count == 2 }
        }

        /// Sends datagrams on each Child SA, each of them a flow of its own, until all have come back; whether they have.
        func exchange(_ count: Int) throws -> Bool {
            let children = children
            var payloads: [(octets: [UInt8], child: Int)] = []
            for child in children.indices {
                for number in 0..<count { payloads.append(([UInt8(child)] + [UInt8](repeating: UInt8(number), count: 100 + number), child)) }
            }
            let all = payloads.count
            // What a busy machine loses is sent again
            for _ in 0..<10 where returned.count < all {
                for payload in payloads where !returned.contains(payload.octets) {
                    try send(payload.octets, fromPort: UInt16(40_000 + payload.child), onChild: children[payload.child])
                }
                _ = try serve(for: .seconds(5)) { $0.returned.count == all }
            }
            return returned.count == all
        }

        /// Deletes the IKE SA.
        func logOut() throws {
            warrior.close(at: MonotonicClock.now, into: &outputs)
            _ = try serve { $0.closure != nil }
        }

        private func send(_ payload: [UInt8], fromPort source: UInt16, onChild spi: UInt32) throws {
            let inner = try #require(established?.innerAddresses.first)
            let host = Endpoint(try #require(IPAddress(RoadNetwork.hostAddress)), port: ResourceTests.port)
            let packet = InnerDatagram.packet(from: Endpoint(inner, port: source), to: host, payload: payload.count) { $0 += payload }
            let sealed = warrior.seal(packet, onChild: spi)
            let datagram = try #require(sealed)
            _ = port.send(datagram.payload, to: datagram.remote)
        }

        /// Serves the client until the condition holds; whether that came within the time, and before the end.
        private func serve(for limit: Duration = .seconds(60), until condition: (Client) -> Bool) throws -> Bool {
            let end = MonotonicClock.now + limit
            while !condition(self) {
                let now = MonotonicClock.now
                guard now < end, closure == nil else { return false }
                if let deadline = warrior.nextDeadline, deadline <= now { warrior.handleDeadlines(at: now, into: &outputs) }
                let count = try port.receive(into: &incoming)
                for index in 0..<count {
                    warrior.receive([UInt8](incoming.octets(index)), from: incoming[index].peer, at: now, into: &outputs)
                }
                perform()
                if count == 0 { usleep(1000) }
            }
            return true
        }

        private func perform() {
            for output in outputs {
                switch output {
                case .send(let datagram): _ = port.send(datagram.payload, to: datagram.remote)
                case .established(let facts): established = facts
                case .closed(let cause): closure = cause
                case .delivered(let packet):
                    if let datagram = InnerDatagram(packet) { returned.insert([UInt8](datagram.payload)) }
                case .childEstablished, .childRekeyed, .ikeRekeyed, .childClosed, .refused, .response: break
                }
            }
            outputs.removeAll()
        }
    }

    @Test("RFC 9611 section 3: two Child SAs with the same selectors, each on a worker of its own, carry packets both ways")
    func section3_twoWorkers() async throws {
        try await Scenario.run { scenario in
            var settings = GatewaySettings()
            settings.workers = 2
            let road = try await Road.build(scenario, settings)
            let place = road.network.clients[0]
            let script = try scenario.write(Self.script, to: "echo.py")
            let echo = try await road.host.start("echo", ["/usr/bin/python3", script, RoadNetwork.hostAddress, "\(Self.port)"])
            _ = try await echo.waitForLine(containing: "ready")

            let client = try await place.onThread { try Client() }
            #expect(try await place.onThread { try client.logIn() }, "\(String(describing: client.closure))")
            #expect(client.established?.notifies.contains { $0.type == .saResourceInfo } == true, "the gateway has more to give")
            #expect(try await place.onThread { try client.addResource() }, "\(String(describing: client.closure))")
            #expect(try await place.onThread { try client.exchange(Self.datagrams) })

            #expect(try await road.session(of: "carol.test").childSAs.count == 2)
            let children = try await road.gateway.sas().flatMap(\.children)
            print("Child SAs: \(children)")
            #expect(children.count == 2 && Set(children.map(\.worker)) == [0, 1], "\(children)")
            #expect(Set(children.map(\.localSelectors)).count == 1 && Set(children.map(\.remoteSelectors)).count == 1, "\(children)")
            // What comes in by a worker's own goes back by it: the kernel keeps a flow at its queue
            for child in children { #expect(child.packetsIn >= Self.datagrams && child.packetsOut > 0, "\(children)") }

            try await place.onThread { try client.logOut() }
            #expect(client.closure == .deletedByUs(answered: true))
            try await road.gateway.waitForSessions(0)
        }
    }

    static let port: UInt16 = 7007

    private static let script = #"""
        import socket, sys
        host = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        host.bind((sys.argv[1], int(sys.argv[2])))
        print("ready", flush=True)
        while True:
            host.sendto(*host.recvfrom(65535))

        """#
}

import Datapath
import ESP
import Foundation
import GatewayCrypto
import LinuxIO
import PacketFixtures
import Synchronization
import Testing
import Wire

/// The whole datapath on a real device and real sockets:
///
///     client 127.0.0.2:40000 --ESP in UDP--> 127.0.0.1:4500 [door, worker 0, worker 1] priv0 10.99.0.1/24 <-- echo 10.99.0.1:7777
///
/// all in one network namespace without a name, which is gone with the last socket.
@Suite(.serialized, .enabled(if: geteuid() == 0 || getenv("CI") != nil, "needs root: it makes a network namespace and a TUN device"))
struct DeviceTests {
    static let gateway = Packets.address("127.0.0.1")

    static func settings(workers: Int) throws -> Datapath.Settings {
        var settings = Datapath.Settings(
            workers: workers,
            interfaces: [
                InterfaceSettings(
                    name: "priv0", addresses: [try #require(PrivateAddress(Packets.address("10.99.0.1"), prefixLength: 24))],
                    routes: [try #require(IPPrefix("10.98.0.0/16"))])
            ], gateways: [GatewayListener(address: gateway)])
        settings.pinsThreads = false
        return settings
    }

    static func datapath(in namespace: borrowing NetworkNamespace, workers: Int, _ visitors: Visitors) throws -> Datapath {
        let settings = try settings(workers: workers)
        let result: Result<Datapath, DatapathError> = try namespace.within { () throws(SystemError) in
            do throws(DatapathError) { return .success(try Datapath(settings, door: visitors, entropy: SystemEntropy())) } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    static func namespace() throws -> NetworkNamespace {
        let namespace = try NetworkNamespace.unnamed()
        try namespace.within { () throws(SystemError) in
            var netlink = try Netlink()
            if let loopback = try netlink.link(named: "lo") { try netlink.setUp(loopback.index) }
        }
        return namespace
    }

    static func hasDevice(_ namespace: borrowing NetworkNamespace) throws -> Bool {
        try namespace.within { () throws(SystemError) in
            var netlink = try Netlink()
            return try netlink.link(named: "priv0") != nil
        }
    }

    @Test(arguments: [1, 2])
    func echoesThroughTheTunnel(workers: Int) async throws {
        let namespace = try Self.namespace()
        let visitors = Visitors(echoes: true)
        let datapath = try Self.datapath(in: namespace, workers: workers, visitors)
        defer { datapath.stop() }
        try datapath.start()
        let natTraversal = Endpoint(Self.gateway, port: 4500)
        let here = Endpoint(Packets.address("127.0.0.2"), port: 40_000)
        var client = try namespace.within { () throws(SystemError) in try UDPPort(here) }
        var echo = try namespace.within { () throws(SystemError) in try UDPPort(Endpoint(Packets.address("10.99.0.1"), port: 7777)) }
        var batch = Batch(capacity: 64, room: 65_535)

        // IKE on both ports
        for port in [500, 4500] as [UInt16] {
            let marker: [UInt8] = port == 4500 ? [0, 0, 0, 0] : []
            let isSent = client.send(marker + [1, 2, 3, 4, 5], to: Endpoint(Self.gateway, port: port))
            #expect(isSent)
            let answer = try await Self.receive(&client, &batch)
            #expect(answer == [marker + [1, 2, 3, 4, 5]])
        }
        #expect(visitors.seen.map(\.to.port) == [500, 4500] && visitors.seen.allSatisfy { $0.from == here })

        for home in 0..<workers {
            let address = "10.99.0.\(home + 10)"
            let spec = TunnelSpec(
                worker: home, interface: "priv0", innerAddresses: [Packets.address(address)], settings: TunnelSettings(), peer: here,
                local: natTraversal)
            let id = try #require(datapath.open(tunnel: spec))
            let spi = try #require(datapath.allocateSPI(worker: home))
            let all = [Selectors.Entry(.all(.ipv4))]
            try await datapath.install(
                ChildSASpec(
                    tunnel: id, inbound: spi, outbound: 0xcafe, suite: Rig.suite,
                    keys: ChildSAKeys(
                        inboundEncryption: Rig.key(Rig.suite, 1), inboundIntegrity: SecretOctets(count: 0),
                        outboundEncryption: Rig.key(Rig.suite, 0x81), outboundIntegrity: SecretOctets(count: 0)),
                    selectors: Selectors(local: all, remote: all)))
            var out = try Rig.client(spi)
            var back = try Rig.clientIn()
            var octets: UInt64 = 0
            for number in 0..<50 {
                let datagram = Packets.udp(5000, 7777, octets: number * 20 + 1)
                let inner = Packets.ipv4(address, "10.99.0.1", payload: datagram)
                octets += UInt64(inner.count)
                let isSent = client.send(try out.seal(inner), to: natTraversal)
                #expect(isSent)
                var heard: [UInt8] = []
                for _ in 0..<5_000 where heard.isEmpty {
                    if try echo.receive(into: &batch) > 0 {
                        heard = [UInt8](batch.octets(0))
                        #expect(batch[0].peer == Endpoint(Packets.address(address), port: 5000))
                        let isEchoed = echo.send(heard, to: batch[0].peer)
                        #expect(isEchoed)
                    } else {
                        try await Task.sleep(for: .milliseconds(1))
                    }
                }
                #expect(heard == Array(datagram[8...]))
                let answers = try await Self.receive(&client, &batch)
                let answer = try back.open(try #require(answers.first))
                #expect(Array(answer[28...]) == heard && Array(answer[16..<20]) == Packets.address(address).octets)
            }
            let counters = await datapath.close(tunnel: id)
            #expect(counters.packetsIn == 50 && counters.octetsIn == octets && counters.packetsOut == 50 && counters.octetsOut == octets)
        }
        // A second one finds the ports held, and says by whom
        #expect(throws: DatapathError.self) { try Self.datapath(in: namespace, workers: 1, Visitors()) }
        let isThere = try Self.hasDevice(namespace)
        #expect(isThere)
        datapath.stop()
        let isLeft = try Self.hasDevice(namespace)
        #expect(!isLeft)
        #expect(datapath.gauges.tunnels == 0)
    }

    /// A client's end: the kernel chooses the ports, and all that comes out of the device goes into the one tunnel.
    @Test func aClientsEnd() async throws {
        let namespace = try Self.namespace()
        let visitors = Visitors()
        var settings = try Self.settings(workers: 1)
        var listener = GatewayListener(address: Self.gateway)
        (listener.ikePort, listener.natTraversalPort) = (0, 0)
        settings.gateways = [listener]
        settings.interfaces = [InterfaceSettings(name: "priv0", addresses: [])]
        settings.ask(for: .none)
        let wanted = settings
        let result: Result<Datapath, DatapathError> = try namespace.within { () throws(SystemError) in
            do throws(DatapathError) { return .success(try Datapath(wanted, door: visitors, entropy: SystemEntropy())) } catch {
                return .failure(error)
            }
        }
        let datapath = try result.get()
        defer { datapath.stop() }
        #expect(datapath.shortcomings.isEmpty, "nothing was asked for")
        let ports = try #require(datapath.gateways.first)
        #expect(ports.ikePort != 0 && ports.natTraversalPort != 0 && ports.ikePort != ports.natTraversalPort)
        try datapath.start()

        // The peer's ESP and IKE come to the ports that were chosen
        let there = Endpoint(Packets.address("127.0.0.2"), port: 4500)
        var peer = try namespace.within { () throws(SystemError) in try UDPPort(there) }
        let natTraversal = Endpoint(Self.gateway, port: ports.natTraversalPort)
        let isSent = peer.send([0, 0, 0, 0, 1, 2, 3], to: natTraversal)
        #expect(isSent)
        for _ in 0..<5_000 where visitors.seen.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
        #expect(visitors.seen.map(\.to) == [natTraversal])

        let own = Packets.address("10.99.0.7")
        try namespace.within { () throws(SystemError) in
            try TUNDevice.furnish("priv0", addresses: [(own, 32)], routes: [IPPrefix("10.0.0.0/8")].compactMap { $0 })
        }
        var spec = TunnelSpec(worker: 0, interface: "priv0", innerAddresses: [], settings: TunnelSettings(), peer: there, local: natTraversal)
        #expect(datapath.open(tunnel: spec) == nil, "a tunnel leads somewhere")
        spec.innerPrefixes = [try #require(IPPrefix("0.0.0.0/0")), try #require(IPPrefix("::/0"))]
        let id = try #require(datapath.open(tunnel: spec))
        let spi = try #require(datapath.allocateSPI(worker: 0))
        try await datapath.install(
            ChildSASpec(
                tunnel: id, inbound: spi, outbound: 0xcafe, suite: Rig.suite,
                keys: ChildSAKeys(
                    inboundEncryption: Rig.key(Rig.suite, 1), inboundIntegrity: SecretOctets(count: 0),
                    outboundEncryption: Rig.key(Rig.suite, 0x81), outboundIntegrity: SecretOctets(count: 0)),
                selectors: Selectors(local: [.init(IPPrefix(host: own).range)], remote: [.init(try #require(IPPrefix("10.0.0.0/8")).range)])))
        var program = try namespace.within { () throws(SystemError) in try UDPPort(Endpoint(own, port: 5000)) }
        let server = Packets.address("10.1.2.3")
        let isAsked = program.send([7, 8, 9], to: Endpoint(server, port: 7777))
        #expect(isAsked)
        var batch = Batch(capacity: 64, room: 65_535)
        var back = try Rig.clientIn()
        let question = try back.open(try #require(try await Self.receive(&peer, &batch).first))
        #expect(Array(question[12..<20]) == own.octets + server.octets && Array(question[28...]) == [7, 8, 9])
        var out = try Rig.client(spi)
        // TSr bounds who speaks, TSi whom they reach
        for (source, target) in [("11.1.2.3", "10.99.0.7"), ("10.1.2.3", "10.99.0.8"), ("10.1.2.3", "10.99.0.7")] {
            let isSent = peer.send(try out.seal(Packets.ipv4(source, target, payload: Packets.udp(7777, 5000, octets: 5))), to: natTraversal)
            #expect(isSent)
        }
        let answer = try await Self.receive(&program, &batch)
        #expect(answer.count == 1 && batch[0].peer == Endpoint(server, port: 7777))
        for _ in 0..<5_000 where datapath.dropCounters()[.selectors] != 2 { try await Task.sleep(for: .milliseconds(1)) }
        #expect(datapath.dropCounters()[.selectors] == 2)
    }

    @Test func settingsThatMakeNoDatapath() throws {
        var settings = try Self.settings(workers: 1)
        settings.workers = 65
        #expect(throws: DatapathError.settings("between 1 and 64 workers, not 65")) {
            try Datapath(settings, door: Visitors(), entropy: SystemEntropy())
        }
        settings.workers = 1
        settings.gateways += settings.gateways
        #expect(throws: DatapathError.settings("two gateways on one address")) { try Datapath(settings, door: Visitors(), entropy: SystemEntropy()) }
    }

    static func receive(_ port: inout UDPPort, _ batch: inout Batch) async throws -> [[UInt8]] {
        for _ in 0..<5_000 {
            if try port.receive(into: &batch) > 0 { return (0..<batch.count).map { [UInt8](batch.octets($0)) } }
            try await Task.sleep(for: .milliseconds(1))
        }
        return []
    }
}

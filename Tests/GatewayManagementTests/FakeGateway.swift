import Foundation
import Logging
import ManagementAPI
import ServiceLifecycle
import Synchronization
import Testing
import Wire

@testable import Gateway

/// A gateway without packets: what it is asked to report and do is set and seen by the test.
final class FakeGateway: ManagementSource {
    struct State {
        var sessions: [SessionReport] = []
        var answer = ReloadAnswer(applied: true, problems: [], needRestart: [])
        var level = LogLevel.info
        var cleared: [SessionSelector] = []
        var associations: [SecurityAssociationReport] = []
        var gateways: [GatewayReport] = []
        var pools: [PoolReport] = []
        var counters = CounterReport(drops: [:], ike: [:])
        var radius = RADIUSReport()
    }

    let state: Mutex<State>

    init(_ state: State = State()) { self.state = Mutex(state) }

    func status() async -> StatusReport {
        state.withLock {
            StatusReport(
                name: "segw-1", version: "0.1.0", engine: "openssl 3.0.17", started: Date(timeIntervalSince1970: 1_790_000_000),
                uptime: 93_784, sessions: $0.sessions.count, halfOpen: 3, workers: 2, gateways: $0.gateways.count, logLevel: $0.level,
                workerLoads: [
                    WorkerReport(worker: 0, sessions: 17, octets: 3 << 30, packets: 2_400_000, shed: 4, taken: 1),
                    WorkerReport(worker: 1, sessions: 20, octets: 1 << 30, packets: 900_000, shed: 1, taken: 4),
                ])
        }
    }
    func gateways() async -> [GatewayReport] { state.withLock { $0.gateways } }
    func sessions(matching selector: SessionSelector?) async -> [SessionReport] {
        state.withLock { $0.sessions.filter { report in selector.map { Self.matches($0, report) } ?? true } }
    }
    func securityAssociations() async -> [SecurityAssociationReport] { state.withLock { $0.associations } }
    func counters() async -> CounterReport { state.withLock { $0.counters } }
    func pools() async -> [PoolReport] { state.withLock { $0.pools } }
    func radius() async -> RADIUSReport { state.withLock { $0.radius } }
    func clear(_ selector: SessionSelector) async -> Int {
        state.withLock { state in
            state.cleared.append(selector)
            let before = state.sessions.count
            state.sessions.removeAll { Self.matches(selector, $0) }
            return before - state.sessions.count
        }
    }
    func reload() async -> ReloadAnswer { state.withLock { $0.answer } }
    func setLogLevel(_ level: LogLevel) async { state.withLock { $0.level = level } }

    private static func matches(_ selector: SessionSelector, _ report: SessionReport) -> Bool {
        let parts = report.remote.split(separator: ":")
        let remote = Endpoint(parts.first.flatMap { IPAddress(String($0)) } ?? IPAddress(v4: 0), port: parts.last.flatMap { UInt16($0) } ?? 0)
        return selector.matches(
            id: report.id, name: report.name, identity: report.identity, innerAddresses: report.innerAddresses, remote: remote)
    }
}

extension FakeGateway.State {
    /// Two sessions of everyday size.
    static var everyday: Self {
        var state = Self()
        state.sessions = [
            report(id: "1", name: "alice@example.com", inner: ["10.20.1.1"], remote: "198.51.100.7"),
            report(id: "2", name: "bob", inner: ["10.20.1.2", "2001:db8:20::102"], remote: "203.0.113.9"),
        ]
        state.gateways = [gateway(name: "road-warriors", address: "192.0.2.1", identity: "vpn.example.com")]
        state.pools = [PoolReport(name: "rw/staff", size: 50_000, used: 2, held: 1, quarantined: 0, free: 49_997)]
        state.counters = CounterReport(drops: ["replayed": 4, "unknown-spi": 17], ike: ["cookies-sent": 1, "logins-refused": 2])
        state.associations = [association(session: "1", remote: "198.51.100.7", selector: "10.0.0.0/8")]
        state.radius = radius("radius-1", policy: "main", state: .up, count: 12)
        return state
    }

    /// The longest and the most hostile of everything.
    static var hostile: Self {
        let name = String(repeating: "W", count: 200) + "\n\u{1b}[31m\u{202e}\0%n"
        let address = "2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa"
        var state = Self()
        state.sessions = [
            report(id: String(repeating: "9", count: 20), name: name, inner: [address, "255.255.255.255"], remote: address),
            report(id: "2", name: "", inner: [], remote: "203.0.113.9"),
        ]
        state.gateways = [gateway(name: name, address: address, identity: name)]
        state.radius = radius(name, policy: name, state: .down, count: .max)
        state.pools = [PoolReport(name: name, size: .max, used: .max, held: .max, quarantined: .max, free: .max)]
        state.counters = CounterReport(drops: [name: .max], ike: [name: .max])
        state.associations = [association(session: String(repeating: "9", count: 20), remote: address, selector: "\(address)-\(address)")]
        state.answer = ReloadAnswer(
            applied: false,
            problems: [ReloadProblem(severity: .error, file: "/etc/\n", line: 3, column: 7, key: "ipsec\u{1b}", message: "found \(name); allowed 1")],
            needRestart: [])
        return state
    }

    static func report(id: String, name: String, inner: [String], remote: String) -> SessionReport {
        SessionReport(
            id: id, name: name, identity: name, gateway: "road-warriors", remote: Endpoint(IPAddress(remote) ?? IPAddress(v4: 0), port: 4500),
            innerAddresses: inner.compactMap { IPAddress($0) }, service: "corporate", interface: "priv0", template: 1,
            established: Date(timeIntervalSinceNow: -4000), octetsIn: 123_456_789, octetsOut: .max, packetsIn: 1000, packetsOut: 2000, drops: 5,
            childSAs: [0x0100_0040], acctSessionId: "0000002a")
    }

    static func radius(_ name: String, policy: String, state: RADIUSReport.State, count: UInt64) -> RADIUSReport {
        RADIUSReport(
            servers: ["authentication", "accounting"].map {
                RADIUSReport.Server(
                    name: name, policy: policy, kind: $0, address: "[2001:db8:ffff:eeee:dddd:cccc:bbbb:aaaa]:65535", state: state,
                    requests: count, retransmissions: count, replies: count, timeouts: count, outstanding: 7, roundTripMilliseconds: 1.25,
                    drops: ["no Message-Authenticator": count])
            },
            spool: RADIUSReport.Spool(
                records: count, octets: count, maximumOctets: 1 << 30, state: .filling, delivered: count, dropped: count),
            conversations: 3, dynamicAuthorization: ["disconnect-ack": count])
    }

    static func gateway(name: String, address: String, identity: String) -> GatewayReport {
        GatewayReport(
            name: name, address: IPAddress(address) ?? IPAddress(v4: 0), identity: identity, state: .up, sessions: 2, halfOpen: 3,
            ikePolicy: 1, service: name, interface: "priv0", addressSources: ["rw/staff", "rw/staff6"])
    }

    static func association(session: String, remote: String, selector: String) -> SecurityAssociationReport {
        let peer = Endpoint(IPAddress(remote) ?? IPAddress(v4: 0), port: 65535)
        let child = ChildReport(
            inboundSPI: .max, outboundSPI: 1, encryption: "aes256-gcm16", integrity: "", extendedSequenceNumbers: true, udpEncapsulation: true,
            localSelectors: [selector], remoteSelectors: ["10.20.1.1/32"], established: Date(timeIntervalSinceNow: -100),
            remainingSeconds: 3500, sequenceIn: .max, sequenceOut: .max, replay: .init(window: 512, recent: .max), worker: 63,
            octetsIn: .max, octetsOut: .max, packetsIn: .max, packetsOut: .max)
        return SecurityAssociationReport(
            session: session, gateway: "road-warriors", local: Endpoint(IPAddress(v4: 1), port: 4500), remote: peer, initiatorSPI: .max,
            responderSPI: 1, state: "established", encryption: "aes-256", integrity: "sha-512", pseudorandomFunction: "sha-512",
            keyExchange: "group-21", established: Date(timeIntervalSinceNow: -100), remainingSeconds: 86_400, children: [child])
    }
}

/// A server with its fake, on a socket in a folder of its own.
struct Daemon {
    let gateway: FakeGateway
    let server: ManagementServer
    let metrics: MetricsRegistry
    let socket: String
    var client: ManagementClient { ManagementClient(socketPath: socket, timeout: 10) }

    /// Runs a server while `body` works with it; nothing is left afterwards.
    static func with(
        _ state: FakeGateway.State = .everyday, _ change: (inout ManagementServer.Settings) -> Void = { _ in },
        _ body: (Daemon) async throws -> Void
    ) async throws {
        try await withFolder { folder in
            var settings = ManagementServer.Settings(controlSocket: folder + "/control.sock")
            change(&settings)
            let gateway = FakeGateway(state)
            let metrics = MetricsRegistry()
            let server = ManagementServer(
                settings: settings, source: gateway, metrics: metrics, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let services = ServiceGroup(services: [server], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            let running = Task { try await services.run() }
            do {
                try await server.ready()
                try await body(Daemon(gateway: gateway, server: server, metrics: metrics, socket: settings.controlSocket))
            } catch {
                running.cancel()
                _ = await running.result
                throw error
            }
            await services.triggerGracefulShutdown()
            try await running.value
            let left = try FileManager.default.contentsOfDirectory(atPath: folder)
            #expect(left == [], "the server left \(left)")
        }
    }
}

/// A folder of our own under the temporary folder, removed afterwards.
func withFolder(_ body: (String) async throws -> Void) async throws {
    let folder = "/tmp/gwm-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder)
}

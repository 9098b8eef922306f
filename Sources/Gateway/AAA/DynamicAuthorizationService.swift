import FoundationEssentials
import IKE
import LinuxIO
import Logging
import NIOCore
import RADIUS
import Wire

/// Takes Disconnect- and CoA-Requests (RFC 5176, features.md RAD-9, RAD-10, X-5) and has the sessions ended or changed that they name.
actor DynamicAuthorizationService {
    private struct Arrived: Sendable {
        let octets: [UInt8]
        let source: Endpoint
        let answer: @Sendable ([UInt8]) -> Void
    }

    private var machine: DynamicAuthorization
    private let sessions: Sessions
    private let logger: Logger
    private let sockets: AnsweringSockets
    private let arrivals: AsyncStream<Arrived>
    private let post: AsyncStream<Arrived>.Continuation
    private var reader: Task<Void, Never>?
    /// A server repeats itself: one line for each reason and server in a while is enough.
    private var told: [String: Instant] = [:]

    /// Requests that wait to be looked at.
    private static let mostArrivals = 1024
    private static let silence = Duration.seconds(10)

    init(_ settings: DynamicAuthorization.Settings, port: UInt16, sessions: Sessions, group: any EventLoopGroup, logger: Logger) {
        machine = DynamicAuthorization(settings)
        self.sessions = sessions
        self.logger = logger
        let (stream, post) = AsyncStream<Arrived>.makeStream(bufferingPolicy: .bufferingOldest(Self.mostArrivals))
        arrivals = stream
        self.post = post
        sockets = AnsweringSockets(port: port, group: group) { octets, source, answer in
            post.yield(Arrived(octets: octets, source: source, answer: answer))
        }
    }

    /// Opens the port and serves. Throws what the kernel says.
    func start() async throws {
        try await sockets.open()
        let arrivals = arrivals
        reader = Task { [weak self] in
            for await one in arrivals { await self?.take(one) }
        }
    }

    func configure(_ settings: DynamicAuthorization.Settings) {
        machine.configure(settings)
    }

    func stop() {
        sockets.close()
        post.finish()
        reader?.cancel()
    }

    private func take(_ arrived: Arrived) async {
        switch machine.receive(arrived.octets, from: arrived.source, at: MonotonicClock.now, wall: WallClock.stamp) {
        case .dropped(let reason, let client):
            let who = client.map { "RADIUS server \($0)" } ?? "\(arrived.source.address)"
            tell("a request of \(who) is dropped: \(reason)", "dynamic-authorization-dropped", who)
        case .reply(let octets, let client, let refused):
            if let refused { tell("a request of RADIUS server \(client) is refused: \(refused)", "dynamic-authorization-refused", client) }
            arrived.answer(octets)
        case .request(let accepted): await act(accepted, arrived)
        }
    }

    private func act(_ accepted: DynamicAuthorization.Accepted, _ arrived: Arrived) async {
        let described = await sessions.described
        let targets: [UInt64]
        switch accepted.request.targets(among: described) {
        case .success(let found): targets = found
        case .failure(let refusal): return answer(accepted, .failure(refusal), arrived)
        }
        switch accepted.request {
        case .disconnect:
            // The client gets its Delete, the server its answer, and then the Stop.
            await sessions.disconnect(targets)
            logger.notice(
                "RADIUS server \(accepted.client) ends \(targets.count) session\(targets.count == 1 ? "" : "s")",
                metadata: ["event": "disconnected", "sessions": .array(targets.map { "\($0)" })])
            answer(accepted, .success(()), arrived)
            for id in targets { await sessions.end(id, .disconnected) }
        case .change(_, let change):
            guard change.filterID == nil else { return answer(accepted, .failure(RefusedRequest(.unsupportedAttribute)), arrived) }
            for id in targets { await sessions.change(id, change) }
            logger.notice(
                "RADIUS server \(accepted.client) changes session \(targets.map { "\($0)" }.joined(separator: ", "))", metadata: ["event": "changed"])
            answer(accepted, .success(()), arrived)
        }
    }

    private func answer(_ accepted: DynamicAuthorization.Accepted, _ outcome: Result<Void, RefusedRequest>, _ arrived: Arrived) {
        if case .failure(let refusal) = outcome {
            tell("a request of RADIUS server \(accepted.client) is refused: \(refusal.cause)", "dynamic-authorization-refused", accepted.client)
        }
        if let octets = machine.answer(accepted, with: outcome) { arrived.answer(octets) }
    }

    private func tell(_ text: String, _ event: String, _ who: String) {
        let now = MonotonicClock.now
        if told.count > 256 { told = told.filter { now - $0.value < Self.silence } }
        if let last = told[event + who], now - last < Self.silence { return }
        guard told.count <= 256 else { return }
        told[event + who] = now
        logger.notice("\(text)", metadata: ["event": "\(event)"])
    }

    /// For `ipsec-gwctl radius`.
    var report: [String: UInt64] {
        let statistics = machine.statistics
        var report: [String: UInt64] = [
            "requests": UInt64(statistics.requests), "requests-acknowledged": UInt64(statistics.acknowledged),
            "requests-repeated": UInt64(statistics.duplicates),
        ]
        for (reason, count) in statistics.drops { report["requests-dropped-\(reason)"] = UInt64(count) }
        for (cause, count) in statistics.refused { report["requests-refused-\(cause.rawValue)"] = UInt64(count) }
        return report
    }
}

extension Sessions {
    /// Sessions as RADIUS servers name them (features.md RAD-10).
    var described: [(id: UInt64, session: SessionDescription)] {
        all.filter { $0.teardown == nil }.map { session in
            // Where no server was told an Acct-Session-Id, none can mean it (features.md AUTH-10)
            let isKnown = session.authorization != nil || session.gateway.aaa.accounting != nil
            return (
                session.id,
                SessionDescription(
                    accountingID: isKnown ? session.accountingID : nil, userName: session.accountedName, nasPortID: session.gateway.aaa.portID ?? "",
                    addresses: session.addresses, service: UInt32(exactly: session.gateway.serviceID))
            )
        }
    }

    /// A Delete to each client; who waits for the sessions' end calls `end`.
    func disconnect(_ ids: [UInt64]) async {
        for id in ids {
            if let session = sessions[id] { await close(session.sa, .disconnected) }
        }
    }

    /// CoA-Request (features.md X-5).
    func change(_ id: UInt64, _ change: AuthorizationChange) async {
        guard let session = sessions[id], let since = session.established else { return }
        var limits = session.limits
        if let seconds = change.sessionTimeout { limits.end = .seconds(Int64(seconds)) }
        if let seconds = change.idleTimeout { limits.idle = seconds == 0 ? nil : .seconds(Int64(seconds)) }
        sessions[id]?.limits = limits
        // Session-Timeout counts from the session's beginning
        setLimits(id, limits, since: since)
        guard let seconds = change.acctInterimInterval, let policy = session.gateway.aaa.accounting else { return }
        let interval = Duration.seconds(Int64(seconds))
        sessions[id]?.interimInterval = interval
        await accounting.changeInterim(session.accountingID, InterimTiming(configured: policy.interval, jitter: policy.jitter, accepted: interval))
    }
}

internal import GatewayCrypto
internal import LinuxIO
internal import Logging
internal import NIOCore
internal import RADIUS
internal import Wire

/// Requests of one kind to the servers of one server policy: gives `RADIUSClient` its sockets and its clock, and who asked an answer.
actor RADIUSExchange {
    typealias Answer = Result<RADIUSReply, RADIUSFailure>

    private enum Socket {
        /// What is to be sent once it is open.
        case opening([[UInt8]])
        case open(DatagramSocket)
    }

    private struct Datagram: Sendable {
        let octets: [UInt8]
        let socket: RADIUSClient.SocketID
    }

    nonisolated let policy: String
    nonisolated let kind: RADIUSClient.Kind
    private var client: RADIUSClient
    private let group: any EventLoopGroup
    private let logger: Logger
    private var sockets: [RADIUSClient.SocketID: Socket] = [:]
    private var endpoints: [RADIUSClient.SocketID: Endpoint] = [:]
    private var waiting: [RADIUSClient.TransactionID: CheckedContinuation<Answer, Never>] = [:]
    private var last: UInt64 = 0
    private var timer = DeadlineTimer()
    private let datagrams: AsyncStream<Datagram>
    private let post: AsyncStream<Datagram>.Continuation
    private var reader: Task<Void, Never>?
    private var isStopped = false
    /// Another took its place: it ends with its last request.
    private var isRetired = false
    /// Whoever sends forged replies must not fill the log; the metrics and `ipsec-gwctl radius` count all of them.
    private let droppedLines = LogBudget(perSecond: 1, burst: 20)

    /// Datagrams that wait to be looked at; a flood beyond it is a flood that the servers' answers get lost in anyway.
    private static let mostDatagrams = 8192

    init(
        _ policy: String, _ settings: RADIUSServerPolicySettings, kind: RADIUSClient.Kind, group: any EventLoopGroup, entropy: any Entropy,
        logger: Logger
    ) {
        self.policy = policy
        self.kind = kind
        self.group = group
        self.logger = logger
        client = RADIUSClient(settings, kind: kind, entropy: entropy)
        (datagrams, post) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.mostDatagrams))
    }

    var statistics: [RADIUSServerStatistics] { client.statistics }
    var settings: RADIUSServerPolicySettings { client.policy }

    /// The reply, or why there is none; takes as long as the policy has patience.
    func request(_ draft: RequestDraft) async -> Answer {
        guard !isStopped else { return .failure(.noServer) }
        begin()
        last &+= 1
        let id = RADIUSClient.TransactionID(last)
        return await withCheckedContinuation { continuation in
            waiting[id] = continuation
            feed(.request(id, draft))
        }
    }

    /// Answers what is under way, then stops.
    func retire() {
        isRetired = true
        if waiting.isEmpty { stop() }
    }

    /// No further requests; who waits is told that there is no server.
    func stop() {
        isStopped = true
        post.finish()
        reader?.cancel()
        timer.cancel()
        for case .open(let socket) in sockets.values { socket.close() }
        sockets = [:]
        for continuation in waiting.values { continuation.resume(returning: .failure(.noServer)) }
        waiting = [:]
    }

    private func begin() {
        guard reader == nil else { return }
        let datagrams = datagrams
        reader = Task { [weak self] in
            for await one in datagrams { await self?.feed(.datagram(one.octets, socket: one.socket)) }
        }
    }

    private func feed(_ input: RADIUSClient.Input) {
        var outputs: [RADIUSClient.Output] = []
        client.handle(input, at: MonotonicClock.now, into: &outputs)
        for output in outputs { perform(output) }
        if isRetired, waiting.isEmpty { stop() } else { arm() }
    }

    private func perform(_ output: RADIUSClient.Output) {
        switch output {
        case .open(let id, let server): open(id, to: server)
        case .close(let id):
            endpoints[id] = nil
            if case .open(let socket)? = sockets.removeValue(forKey: id) { socket.close() }
        case .send(let octets, let id):
            switch sockets[id] {
            case .open(let socket): socket.send(octets)
            case .opening(let before): sockets[id] = .opening(before + [octets])
            case nil: break
            }
        case .reply(let id, let reply): waiting.removeValue(forKey: id)?.resume(returning: .success(reply))
        case .failed(let id, let failure): waiting.removeValue(forKey: id)?.resume(returning: .failure(failure))
        case .server(let name, let isUp):
            if isUp {
                logger.notice("RADIUS server \(name) answers again", metadata: fields(name, "radius-server-up"))
            } else {
                logger.warning("RADIUS server \(name) does not answer and is left alone for a while", metadata: fields(name, "radius-server-down"))
            }
        case .dropped(let reason, let server):
            guard let suppressed = droppedLines.take(at: .now) else { return }
            let advice = reason == .missingMessageAuthenticator ? "; have it send one, or set require-message-authenticator: false" : ""
            var fields = fields(server, "radius-reply-dropped")
            if suppressed > 0 { fields["suppressed"] = "\(suppressed)" }
            logger.info("a reply of RADIUS server \(server) is dropped: \(reason)\(advice)", metadata: fields)
        }
    }

    private func fields(_ server: String, _ event: String) -> Logger.Metadata {
        ["event": "\(event)", "server": "\(server)", "policy": "\(policy)", "kind": "\(kind)"]
    }

    private func open(_ id: RADIUSClient.SocketID, to server: Endpoint) {
        sockets[id] = .opening([])
        endpoints[id] = server
        let (group, post) = (group, post)
        Task {
            do {
                let socket = try await DatagramSocket.connect(
                    to: server, group: group, receive: { post.yield(Datagram(octets: $0, socket: id)) })
                opened(socket, id)
                socket.whenClosed { [weak self] in Task { await self?.closed(id) } }
            } catch {
                failed(id)
            }
        }
    }

    private func failed(_ id: RADIUSClient.SocketID) {
        sockets[id] = nil
        endpoints[id] = nil
        if !isStopped { feed(.socketFailed(id)) }
    }

    /// Another in its place: an error that the kernel reports, since nobody listens there now, closes the socket at the next send, and the server may
    /// be starting anew. What was on its way is sent again when its time comes.
    private func closed(_ id: RADIUSClient.SocketID) {
        guard !isStopped, case .open(let socket)? = sockets[id], !socket.isOpen, let server = endpoints[id] else { return }
        open(id, to: server)
    }

    private func opened(_ socket: DatagramSocket, _ id: RADIUSClient.SocketID) {
        guard case .opening(let octets)? = sockets[id] else { return socket.close() }
        guard socket.isOpen else { return failed(id) }
        sockets[id] = .open(socket)
        for one in octets { socket.send(one) }
    }

    private func arm() {
        timer.arm(client.nextDeadline) { [weak self] in await self?.strike() }
    }

    private func strike() {
        timer.struck()
        feed(.deadline)
    }
}

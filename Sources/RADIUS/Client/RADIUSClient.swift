package import GatewayCrypto
package import Wire

/// The requests of one kind to the servers of one policy, as a machine: inputs in, outputs out, no socket and no clock.
///
///     request -> server chosen -> identifier on a socket -> sent -> answered
///                     ^                                      | RFC 5080 timer: the same octets again, `retryCount` times
///                     +---- the next server, if not bound ---+ then the server is held down, unless it answered others meanwhile
package struct RADIUSClient: Sendable {
    package enum Kind: Equatable, Sendable {
        case authentication, accounting
    }

    /// A request, named by who makes it; never twice at a time.
    package struct TransactionID: Hashable, Sendable {
        package let rawValue: UInt64
        package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    }

    /// A UDP socket of ours, connected to one server; named here, opened outside.
    package struct SocketID: Hashable, Sendable {
        package let rawValue: UInt64
    }

    package enum Input: Sendable {
        case request(TransactionID, RequestDraft)
        /// Nobody waits any longer; no output follows.
        case cancel(TransactionID)
        /// `from` where the socket can tell: a socket that is connected lets nothing else through.
        case datagram([UInt8], socket: SocketID, from: Endpoint? = nil)
        /// `nextDeadline` has come.
        case deadline
        /// It could not be opened, or broke. Not for an ICMP error: the server may be restarting.
        case socketFailed(SocketID)
    }

    package enum Output: Sendable {
        case open(SocketID, to: Endpoint)
        case close(SocketID)
        case send([UInt8], SocketID)
        case reply(TransactionID, RADIUSReply)
        case failed(TransactionID, RADIUSFailure)
        case server(String, isUp: Bool)
        case dropped(RADIUSDrop, server: String)
    }

    /// How long a further socket stays open without a request.
    static let idleTime: Duration = .seconds(60)

    struct Transaction: Sendable {
        let draft: RequestDraft
        var server: Int
        var socket: SocketID
        var identifier: UInt8
        var octets: [UInt8]
        var authenticator: [UInt8]
        var sent: Instant
        var retransmission: Retransmission
        var deadline: Instant
        var tried: Set<Int>
    }

    struct Socket: Sendable {
        let server: Int
        var identifiers: IdentifierTable
    }

    package let kind: Kind
    package let policy: RADIUSServerPolicySettings
    private let entropy: any Entropy
    private var servers: [RADIUSServer]
    private var sockets: [SocketID: Socket] = [:]
    private var transactions: [TransactionID: Transaction] = [:]
    private var deadlines = DeadlineHeap<TransactionID>()
    private var idleCheck: Instant?
    private var lastSocket: UInt64 = 0
    private var turn = 0

    package init(_ policy: RADIUSServerPolicySettings, kind: Kind, entropy: any Entropy) {
        self.policy = policy
        self.kind = kind
        self.entropy = entropy
        servers = policy.servers.map { RADIUSServer($0, kind: kind) }
    }

    /// When `.deadline` is due.
    package var nextDeadline: Instant? { .earlier(deadlines.next, idleCheck) }

    /// Requests on their way.
    package var outstanding: Int { transactions.count }

    /// Per server, in the policy's order.
    package var statistics: [RADIUSServerStatistics] {
        servers.map { server in
            var statistics = server.statistics
            statistics.isUp = server.isUp
            if case .down(let until, _) = server.liveness { statistics.heldDownUntil = until }
            statistics.sockets = server.sockets.count
            statistics.outstanding = server.sockets.reduce(0) { $0 + (sockets[$1]?.identifiers.outstanding ?? 0) }
            return statistics
        }
    }

    /// Feeds one input and appends what the driver must now do.
    package mutating func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) {
        switch input {
        case .request(let id, let draft): request(id, draft, now, &outputs)
        case .cancel(let id): _ = finish(id, as: .left, now)
        case .datagram(let octets, let socket, let source): receive(octets, socket, source, now, &outputs)
        case .deadline: strike(now, &outputs)
        case .socketFailed(let socket): fail(socket, now, &outputs)
        }
        deadlines.prune { transactions[$0] != nil }
        // answered requests leave their entry behind: never more of those than of live ones, give or take
        if deadlines.count > 2 * transactions.count + 1024 { deadlines.keep { transactions[$0] != nil } }
    }
}

// MARK: - Requests

extension RADIUSClient {
    private mutating func request(_ id: TransactionID, _ draft: RequestDraft, _ now: Instant, _ outputs: inout [Output]) {
        guard transactions[id] == nil else { return }
        guard transactions.count < policy.maximumOutstanding else {
            outputs.append(.failed(id, .overloaded))
            return
        }
        guard let server = choose(for: draft, tried: [], now) else {
            outputs.append(.failed(id, draft.affinity.map { .serverLost($0) } ?? .noServer))
            return
        }
        start(id, draft, at: server, tried: [], now, &outputs)
    }

    /// The server to ask: the one that an EAP conversation is bound to, else the policy's choice among those that may be asked.
    private mutating func choose(for draft: RequestDraft, tried: Set<Int>, _ now: Instant) -> Int? {
        if let name = draft.affinity {
            return tried.isEmpty ? servers.firstIndex { $0.settings.name == name } : nil
        }
        let order = servers.indices.map { policy.algorithm == .direct ? $0 : ($0 + turn) % servers.count }
        guard let choice = order.first(where: { !tried.contains($0) && servers[$0].isEligible(at: now) }) else { return nil }
        if policy.algorithm == .roundRobin { turn = (choice + 1) % servers.count }
        return choice
    }

    /// Whether a request could go elsewhere right now.
    private func hasAlternative(to transaction: Transaction, _ now: Instant) -> Bool {
        transaction.draft.affinity == nil
            && servers.indices.contains { !transaction.tried.contains($0) && $0 != transaction.server && servers[$0].isUp }
    }

    private mutating func start(
        _ id: TransactionID, _ draft: RequestDraft, at server: Int, tried: Set<Int>, _ now: Instant, _ outputs: inout [Output]
    ) {
        let socket = socketWithRoom(at: server, now, &outputs)
        guard let identifier = sockets[socket]?.identifiers.take(for: id) else { return outputs.append(.failed(id, .overloaded)) }
        do {
            let packet = RADIUSPacket(
                kind == .authentication ? .accessRequest : .accountingRequest, identifier: identifier, authenticator: entropy.octets(16),
                attributes: draft.attributes)
            let octets = try packet.encode(secret: servers[server].settings.secret)
            let retransmission = Retransmission(initial: policy.timeout, entropy: entropy)
            let transaction = Transaction(
                draft: draft, server: server, socket: socket, identifier: identifier, octets: octets,
                authenticator: RADIUSPacket.authenticator(of: octets), sent: now, retransmission: retransmission,
                deadline: retransmission.deadline(from: now), tried: tried)
            transactions[id] = transaction
            deadlines.insert(id, at: transaction.deadline)
            if case .down(let until, nil) = servers[server].liveness, now >= until {
                servers[server].liveness = .down(until: until, probe: id)
            }
            servers[server].statistics.requests += 1
            outputs.append(.send(octets, socket))
        } catch {
            sockets[socket]?.identifiers.giveBack(identifier, as: .unused, at: now)
            outputs.append(.failed(id, .encoding(error)))
        }
    }

    /// A socket to the server with an identifier free; a further one when 256 requests are on their way on each. How many there can be
    /// follows from `maximumOutstanding`.
    private mutating func socketWithRoom(at server: Int, _ now: Instant, _ outputs: inout [Output]) -> SocketID {
        if let socket = servers[server].sockets.first(where: { sockets[$0]?.identifiers.isFull == false }) { return socket }
        lastSocket += 1
        let socket = SocketID(rawValue: lastSocket)
        sockets[socket] = Socket(server: server, identifiers: IdentifierTable(at: now))
        servers[server].sockets.append(socket)
        if servers[server].sockets.count > 1 { idleCheck = .earlier(idleCheck, now + Self.idleTime) }
        outputs.append(.open(socket, to: servers[server].statistics.endpoint))
        return socket
    }

    /// Takes a transaction out of all tables.
    private mutating func finish(_ id: TransactionID, as slot: IdentifierTable.Slot, _ now: Instant) -> Transaction? {
        guard let transaction = transactions.removeValue(forKey: id) else { return nil }
        sockets[transaction.socket]?.identifiers.giveBack(transaction.identifier, as: slot, at: now)
        if case .down(let until, .some(id)) = servers[transaction.server].liveness {
            servers[transaction.server].liveness = .down(until: until, probe: nil)
        }
        return transaction
    }
}

// MARK: - Replies

extension RADIUSClient {
    private mutating func receive(_ octets: [UInt8], _ socket: SocketID, _ source: Endpoint?, _ now: Instant, _ outputs: inout [Output]) {
        // a socket that was closed while the datagram was on its way to us
        guard let entry = sockets[socket] else { return }
        let server = entry.server
        guard source == nil || source == servers[server].statistics.endpoint else { return drop(.wrongSource, server, &outputs) }
        guard octets.count >= 20 else { return drop(.malformed, server, &outputs) }
        let id: TransactionID
        switch entry.identifiers[octets[1]] {
        case .outstanding(let transaction): id = transaction
        case .unused: return drop(.unknownIdentifier, server, &outputs)
        case .answered: return drop(.duplicate, server, &outputs)
        case .left: return drop(.late, server, &outputs)
        }
        let code = RADIUSCode(rawValue: octets[0])
        guard kind == .authentication ? code.isAccessReply : code == .accountingResponse else { return drop(.unexpectedCode, server, &outputs) }
        guard let transaction = transactions[id] else { return drop(.late, server, &outputs) }
        let settings = servers[server].settings
        do {
            let packet = try RADIUSPacket(
                decoding: octets, secret: settings.secret, request: transaction.authenticator,
                requiresMessageAuthenticator: kind == .authentication && settings.requiresMessageAuthenticator)
            isAlive(server, now, &outputs)
            servers[server].count(packet)
            let roundTrip = now - transaction.sent
            // the reply to which of the transmissions? (RFC 6298 section 3, Karn)
            if transaction.retransmission.count == 0 { servers[server].smooth(roundTrip) }
            _ = finish(id, as: .answered, now)
            outputs.append(
                .reply(
                    id,
                    RADIUSReply(packet: packet, server: settings.name, requestAuthenticator: transaction.authenticator, roundTrip: roundTrip)))
        } catch  where error.isServersDoing {
            isAlive(server, now, &outputs)
            servers[server].statistics.unusable += 1
            _ = finish(id, as: .answered, now)
            outputs.append(.failed(id, .unusableReply(settings.name, error)))
        } catch {
            drop(RADIUSDrop(error), server, &outputs)
        }
    }

    private mutating func drop(_ reason: RADIUSDrop, _ server: Int, _ outputs: inout [Output]) {
        servers[server].statistics.drops[reason, default: 0] += 1
        outputs.append(.dropped(reason, server: servers[server].settings.name))
    }

    private mutating func isAlive(_ server: Int, _ now: Instant, _ outputs: inout [Output]) {
        servers[server].lastReply = now
        guard !servers[server].isUp else { return }
        servers[server].liveness = .up
        outputs.append(.server(servers[server].settings.name, isUp: true))
    }
}

// MARK: - Silence

extension RADIUSClient {
    private mutating func strike(_ now: Instant, _ outputs: inout [Output]) {
        while let id = deadlines.popDue(at: now) {
            guard let transaction = transactions[id], transaction.deadline <= now else { continue }
            if mayRepeat(transaction, id, now) {
                retransmit(id, now, &outputs)
            } else {
                leave(id, now, &outputs)
            }
        }
        if let due = idleCheck, due <= now { closeIdleSockets(now, &outputs) }
    }

    /// A request stays with a server while it has retransmissions left; but one that only tries a dead server, or whose server has died
    /// meanwhile, goes on to a live one at once.
    private func mayRepeat(_ transaction: Transaction, _ id: TransactionID, _ now: Instant) -> Bool {
        guard transaction.retransmission.count < policy.retryCount else { return false }
        return servers[transaction.server].isUp || !hasAlternative(to: transaction, now)
    }

    /// The same octets again: identifier, authenticator and source port as before (RFC 5080 section 2.2.1).
    private mutating func retransmit(_ id: TransactionID, _ now: Instant, _ outputs: inout [Output]) {
        guard var transaction = transactions[id] else { return }
        transaction.retransmission.again(entropy: entropy)
        transaction.deadline = transaction.retransmission.deadline(from: now)
        transactions[id] = transaction
        deadlines.insert(id, at: transaction.deadline)
        servers[transaction.server].statistics.retransmissions += 1
        outputs.append(.send(transaction.octets, transaction.socket))
    }

    /// The server did not answer: it is held down unless it answered another request meanwhile; the request goes to the next server, as a new
    /// packet, or fails.
    private mutating func leave(_ id: TransactionID, _ now: Instant, _ outputs: inout [Output]) {
        guard let transaction = finish(id, as: .left, now) else { return }
        let server = transaction.server
        servers[server].statistics.timeouts += 1
        if servers[server].lastReply.map({ $0 < transaction.sent }) ?? true { holdDown(server, now, &outputs) }
        moveOn(id, transaction, now, &outputs)
    }

    private mutating func moveOn(_ id: TransactionID, _ transaction: Transaction, _ now: Instant, _ outputs: inout [Output]) {
        let tried = transaction.tried.union([transaction.server])
        if let next = choose(for: transaction.draft, tried: tried, now) {
            start(id, transaction.draft, at: next, tried: tried, now, &outputs)
        } else {
            let name = servers[transaction.server].settings.name
            outputs.append(.failed(id, transaction.draft.affinity == nil ? .timeout(name) : .serverLost(name)))
        }
    }

    private mutating func holdDown(_ server: Int, _ now: Instant, _ outputs: inout [Output]) {
        let wasUp = servers[server].isUp
        // one that is down already is left alone from the first request that found it so, not anew by each that follows
        if case .down(let until, _) = servers[server].liveness, now < until { return }
        servers[server].liveness = .down(until: now + policy.holdDown, probe: nil)
        if wasUp { outputs.append(.server(servers[server].settings.name, isUp: false)) }
    }

    private mutating func fail(_ socket: SocketID, _ now: Instant, _ outputs: inout [Output]) {
        guard let entry = sockets.removeValue(forKey: socket) else { return }
        servers[entry.server].sockets.removeAll { $0 == socket }
        holdDown(entry.server, now, &outputs)
        for id in entry.identifiers.transactions {
            guard let transaction = finish(id, as: .left, now) else { continue }
            moveOn(id, transaction, now, &outputs)
        }
    }

    /// The first socket of a server stays; others go once nothing waits on them.
    private mutating func closeIdleSockets(_ now: Instant, _ outputs: inout [Output]) {
        idleCheck = nil
        for index in servers.indices {
            for socket in servers[index].sockets.dropFirst() {
                guard let identifiers = sockets[socket]?.identifiers else { continue }
                if identifiers.isIdle, identifiers.idleSince + Self.idleTime <= now {
                    sockets[socket] = nil
                    servers[index].sockets.removeAll { $0 == socket }
                    outputs.append(.close(socket))
                } else {
                    idleCheck = .earlier(idleCheck, identifiers.isIdle ? identifiers.idleSince + Self.idleTime : now + Self.idleTime)
                }
            }
        }
    }
}

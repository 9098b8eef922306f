import IKEMessages
import Wire

/// IKE SAs that this one has come in the place of, or that a collision left over. They answer until they are deleted, and for a while after;
/// Child SAs they have none (RFC 7296 section 2.8).
struct ReplacedSAs: Sendable {
    private struct Entry: Sendable {
        let channel: Held<Channel>
        /// Its Delete has been answered, whoever sent it: only the last response is still repeated.
        var isDeleted = false
    }

    private var entries: [Entry] = []

    /// Beside the one in use: what two exchanges that collide leave over, and one that is gone but for its last response.
    static let most = 3
    /// How long the client has to delete what it had us replace.
    static let lifetime = Duration.seconds(60)

    /// Some still wait for a Delete or its answer: nothing else replaces an IKE SA before.
    var isWaiting: Bool { entries.contains { !$0.isDeleted } }
    var nextDeadline: Instant? {
        var next: Instant?
        for entry in entries { next = .earlier(next, entry.channel.value.nextDeadline) }
        return next
    }

    /// The client is to delete it.
    mutating func add(_ channel: Held<Channel>, at now: Instant, into outputs: inout [Output]) {
        channel.value.deadlines[.replaced] = now + Self.lifetime
        channel.value.endUpkeep()
        entries.append(Entry(channel: channel))
        while entries.count > Self.most {
            forget(entries.firstIndex { $0.isDeleted } ?? 0, into: &outputs)
        }
    }

    /// We delete it.
    mutating func delete(_ channel: Held<Channel>, at now: Instant, into outputs: inout [Output]) {
        add(channel, at: now, into: &outputs)
        channel.value.request(.deleteReplaced, [.delete(DeletePayload(protocolID: .ike, spis: []))], at: now, into: &outputs)
    }

    /// The client has deleted it.
    mutating func linger(_ channel: Held<Channel>, at now: Instant, into outputs: inout [Output]) {
        add(channel, at: now, into: &outputs)
        deleted(channel, at: now)
    }

    mutating func deleted(_ channel: Held<Channel>, at now: Instant) {
        guard let index = entries.firstIndex(where: { $0.channel === channel }) else { return }
        entries[index].isDeleted = true
        channel.value.forgetRequest()
        channel.value.deadlines[.replaced] = now + Lingering.lifetime
    }

    func channel(named header: IKEHeader) -> Held<Channel>? { entries.first { $0.channel.value.isNamed(by: header) }?.channel }

    private mutating func forget(_ index: Int, into outputs: inout [Output]) {
        let entry = entries.remove(at: index)
        outputs.append(.released(entry.channel.value.ourSPI))
    }

    /// Repeats what is unanswered and forgets what is over.
    mutating func strike(at now: Instant, into outputs: inout [Output]) {
        for index in entries.indices.reversed() {
            let channel = entries[index].channel
            channel.value.keepUp(on: .deadline, at: now, into: &outputs)
            for deadline in channel.value.deadlines.expired(at: now) {
                switch deadline {
                // Without an answer it is forgotten in time; the client will do the same.
                case .retransmit: _ = channel.value.retransmit(at: now, into: &outputs)
                case .replaced: forget(index, into: &outputs)
                default: break
                }
            }
        }
    }

    /// Takes a message of an IKE SA that is over, where its session is over too. True when it was taken.
    mutating func receive(_ datagram: IKEDatagram, at now: Instant, into outputs: inout [Output]) -> Bool {
        guard let channel = datagram.header.flatMap({ channel(named: $0) }) else { return false }
        switch channel.value.receive(datagram, at: now, into: &outputs) {
        case .nothing: break
        case .response(let purpose, _): if purpose == .deleteReplaced { deleted(channel, at: now) }
        case .faultyRequest(let exchange, let id, let error):
            channel.value.respond(exchange, id: id, error: ExchangeError(error), into: &outputs)
        case .request(let exchange, let id, let payloads):
            channel.value.accepted(datagram, at: now, into: &outputs)
            guard exchange == .informational else {
                channel.value.respond(exchange, id: id, error: .temporaryFailure, into: &outputs)
                return true
            }
            channel.value.respond(exchange, id: id, [], into: &outputs)
            if payloads.deletesIKESA { deleted(channel, at: now) }
        }
        return true
    }
}

extension IKEDatagram {
    /// nil for what is too short to have one.
    var header: IKEHeader? {
        var span = unsafe octets.span.bytes
        return try? IKEHeader(parsing: &span)
    }
}

extension [Payload] {
    /// Whether a Delete of the IKE SA is among them.
    var deletesIKESA: Bool {
        contains { if case .delete(let delete) = $0 { delete.protocolID == .ike } else { false } }
    }
}

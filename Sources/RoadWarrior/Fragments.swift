import IKEMessages
import Wire

/// Pieces of one message of the gateway, RFC 7383 section 2.6.
struct CollectedFragments {
    let messageID: UInt32
    let isResponse: Bool
    private(set) var pieces: [[UInt8]?]
    private(set) var first = PayloadType.none

    init(_ header: IKEHeader, total: Int) {
        messageID = header.messageID
        isResponse = header.isResponse
        pieces = [[UInt8]?](repeating: nil, count: total)
    }

    func belongs(_ header: IKEHeader) -> Bool { messageID == header.messageID && isResponse == header.isResponse }

    mutating func put(_ piece: [UInt8], at number: Int, first type: PayloadType) {
        guard pieces.indices.contains(number - 1) else { return }
        pieces[number - 1] = piece
        if number == 1 { first = type }
    }

    var message: [UInt8]? {
        pieces.contains { $0 == nil } ? nil : pieces.flatMap { $0 ?? [] }
    }
}

extension RoadWarrior {
    /// More fragments of one message than this are no gateway's.
    static let mostFragments = 64

    /// The message, or its fragments when it is too long for one.
    mutating func protect(_ outgoing: Outgoing, on sa: Association) -> [[UInt8]]? {
        guard let whole = sa.protection?.seal(outgoing.header, outgoing.payloads, entropy: settings.entropy) ?? nil else { return nil }
        guard knowsFragments, let longest = settings.longestMessage, whole.count > longest,
            let overhead = sa.protection?.overhead(of: IKEHeader.length + EncryptedFragmentPayload.headerLength), longest > overhead
        else { return [whole] }
        let (type, chain) = PayloadChain.encode(outgoing.payloads)
        var rest = chain[...]
        var pieces: [ArraySlice<UInt8>] = []
        while !rest.isEmpty {
            pieces.append(rest.prefix(longest - overhead))
            rest = rest.dropFirst(longest - overhead)
        }
        var messages: [[UInt8]] = []
        for (index, piece) in pieces.enumerated() {
            let fragment = PlainFragment(
                firstInner: type, number: UInt16(clamping: index + 1), total: UInt16(clamping: pieces.count), octets: piece)
            guard let octets = sa.protection?.seal(outgoing.header, fragment, entropy: settings.entropy) ?? nil else { return nil }
            messages.append(octets)
        }
        return messages
    }

    mutating func receiveFragment(
        _ header: IKEHeader, on sa: Association, _ fragment: EncryptedFragmentPayload, octets: [UInt8], at now: Instant, into outputs: inout [Output]
    ) {
        let total = Int(fragment.totalFragments)
        guard knowsFragments, total <= Self.mostFragments else {
            drops.unprotected += 1
            return
        }
        guard let text = sa.protection?.open(octets, fragment.content) ?? nil else {
            drops.unauthentic += 1
            return
        }
        guard let piece = try? fragment.piece(decrypted: text) else {
            drops.malformed += 1
            return
        }
        if header.isResponse ? header.messageID != sa.window.outstanding?.id : header.messageID != sa.window.expectedRequest {
            // A repetition of the last request is answered once: for its first fragment.
            if !header.isResponse, fragment.fragmentNumber == 1 { return take(header, on: sa, .success([]), at: now, into: &outputs) }
            drops.outsideWindow += 1
            return
        }
        var collected = sa.fragments ?? CollectedFragments(header, total: total)
        if !collected.belongs(header) || total > collected.pieces.count { collected = CollectedFragments(header, total: total) }
        guard total == collected.pieces.count else {
            drops.outsideWindow += 1
            return
        }
        collected.put([UInt8](piece), at: Int(fragment.fragmentNumber), first: fragment.firstInner)
        guard let message = collected.message else {
            sa.fragments = collected
            return
        }
        sa.fragments = nil
        let first = collected.first
        take(header, on: sa, Result { () throws(MessageError) in try PayloadChain.parse(first: first, message) }, at: now, into: &outputs)
    }
}

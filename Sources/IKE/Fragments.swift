import GatewayCrypto
import IKEMessages
import Synchronization
import Wire

/// What fragments of clients that have yet to authenticate may take up in memory, over all IKE SAs of the daemon (threats.md P5).
package final class ReassemblyBudget: Sendable {
    /// Octets.
    package let limit: Int
    private let used = Atomic<Int>(0)

    package init(limit: Int = 8 << 20) {
        self.limit = limit
    }

    /// Octets in use.
    package var inUse: Int { used.load(ordering: .relaxed) }

    func take(_ octets: Int) -> Bool {
        guard used.add(octets, ordering: .relaxed).newValue <= limit else {
            used.subtract(octets, ordering: .relaxed)
            return false
        }
        return true
    }

    func giveBack(_ octets: Int) {
        used.subtract(octets, ordering: .relaxed)
    }
}

/// What both sides' IKEV2_FRAGMENTATION_SUPPORTED settled, RFC 7383 section 2.3.
struct Fragmentation: Sendable {
    private(set) var mtu: Int
    private(set) var timeout: Duration
    /// nil once the client is authenticated.
    var budget: ReassemblyBudget?

    init(_ policy: IKEPolicy.Fragmentation, budget: ReassemblyBudget) {
        mtu = policy.mtu
        timeout = policy.reassemblyTimeout
        self.budget = budget
    }

    mutating func follow(_ policy: IKEPolicy.Fragmentation) {
        mtu = policy.mtu
        timeout = policy.reassemblyTimeout
    }

    /// Octets of a message that fit an IP packet of `mtu` octets from this end: without IP and UDP header and non-ESP marker.
    func largestMessage(from local: Endpoint) -> Int {
        mtu - (local.address.family == .ipv4 ? 20 : 40) - 8 - (local.port == 500 ? 0 : 4)
    }
}

enum Fragments {
    /// Fragments of one message (threats.md P5).
    static let most = 64
    /// Octets of a message put together.
    static let mostOctets = 65_536
    /// What a fragment costs beside its octets.
    static let overhead = 64

    /// Cuts the payloads so that no message with one piece is longer than `largest` octets, RFC 7383 section 2.5.1; nil when there is no such cut.
    static func cut(_ payloads: [Payload], largest: Int, suite: ProtectionSuite) -> [PlainFragment]? {
        let (first, octets) = PayloadChain.encode(payloads)
        let block = max(1, suite.blockLength)
        let room = largest - IKEHeader.length - EncryptedFragmentPayload.headerLength - suite.ivLength - suite.icvLength
        // Padded to whole blocks, the pad length among them.
        let size = room / block * block - 1
        guard size > 0, let total = UInt16(exactly: (octets.count + size - 1) / size), total > 0 else { return nil }
        return (1...total).map { number in
            let start = Int(number - 1) * size
            return PlainFragment(
                firstInner: first, number: number, total: total, octets: octets[start..<min(start + size, octets.count)])
        }
    }
}

/// A message that comes in fragments, as far as it has come. Each was authenticated before it got here.
struct Reassembly: ~Copyable, Sendable {
    let isResponse: Bool
    let messageID: UInt32
    let exchange: ExchangeType
    let total: UInt16
    private(set) var first: PayloadType?
    /// The digest of the first fragment as it came: what a repetition of the request is told by.
    private(set) var digest: [UInt8]?
    private var pieces: [UInt16: ArraySlice<UInt8>] = [:]
    private var octets = 0
    private var taken = 0
    private let budget: ReassemblyBudget?

    init(_ header: IKEHeader, total: UInt16, budget: ReassemblyBudget?) {
        isResponse = header.isResponse
        messageID = header.messageID
        exchange = header.exchange
        self.total = total
        self.budget = budget
    }

    deinit { budget?.giveBack(taken) }

    func isOf(_ header: IKEHeader) -> Bool {
        isResponse == header.isResponse && messageID == header.messageID && exchange == header.exchange
    }

    func has(_ number: UInt16) -> Bool { pieces[number] != nil }

    /// False when there is no room for it.
    mutating func add(_ fragment: EncryptedFragmentPayload, _ piece: ArraySlice<UInt8>, of message: [UInt8]) -> Bool {
        guard octets + piece.count <= Fragments.mostOctets, pieces.count < Fragments.most else { return false }
        let cost = piece.count + Fragments.overhead
        if let budget, !budget.take(cost) { return false }
        taken += cost
        octets += piece.count
        // A slice would hold the whole message.
        pieces[fragment.fragmentNumber] = ArraySlice(Array(piece))
        if fragment.fragmentNumber == 1 {
            first = fragment.firstInner
            digest = Digest.sha256(message)
        }
        return true
    }

    /// The inner payloads' octets, once all are here.
    var whole: [UInt8]? {
        guard pieces.count == Int(total) else { return nil }
        var whole: [UInt8] = []
        whole.reserveCapacity(octets)
        for number in 1...total { whole += pieces[number] ?? [] }
        return whole
    }
}

/// How a protected message ends.
enum Sealed {
    case whole(EncryptedPayload)
    case fragment(EncryptedFragmentPayload)

    /// nil unless SK or SKF is all there is.
    init?(_ payloads: [Payload]) {
        guard payloads.count == 1 else { return nil }
        switch payloads.first {
        case .encrypted(let payload): self = .whole(payload)
        case .encryptedFragment(let payload): self = .fragment(payload)
        default: return nil
        }
    }
}

extension Channel {
    /// Takes a fragment of a message that is expected, RFC 7383 section 2.6. What costs nothing is asked before the ICV; nothing is stored before it.
    mutating func collect(
        _ fragment: EncryptedFragmentPayload, _ header: IKEHeader, _ octets: [UInt8], at now: Instant, into outputs: inout [Output]
    ) -> Unsealed {
        if let reason = objection(to: fragment, header) {
            outputs.append(.dropped(reason))
            return .incomplete
        }
        guard let text = protection.text(of: octets, fragment.content) else { return .unauthentic }
        guard let piece = try? fragment.piece(decrypted: text) else {
            outputs.append(.dropped(.malformed))
            return .incomplete
        }
        // None yet, or the sender has cut the message into smaller pieces.
        if reassembly?.value.total != fragment.totalFragments {
            reassembly = Held(Reassembly(header, total: fragment.totalFragments, budget: fragmentation?.budget))
            upkeep[.reassembly] = now + (fragmentation?.timeout ?? .zero)
        }
        guard let current = reassembly, current.value.add(fragment, piece, of: octets) else {
            outputs.append(.dropped(.fragmentLimit))
            return .incomplete
        }
        guard let whole = current.value.whole, let first = current.value.first else { return .incomplete }
        completedRequest = header.isResponse ? nil : current.value.digest
        forgetFragments(ofResponse: header.isResponse)
        do throws(MessageError) {
            return .payloads(try PayloadChain.parse(first: first, whole))
        } catch {
            return .faulty(error)
        }
    }

    private func objection(to fragment: EncryptedFragmentPayload, _ header: IKEHeader) -> MessageDrop? {
        guard Int(fragment.totalFragments) <= Fragments.most else { return .fragmentLimit }
        guard let reassembly else { return nil }
        // Of a request's and a response's fragments those that came first are put together, the others will be repeated.
        guard reassembly.value.isOf(header), fragment.totalFragments >= reassembly.value.total else { return .fragment }
        guard fragment.totalFragments == reassembly.value.total else { return nil }
        return reassembly.value.has(fragment.fragmentNumber) ? .fragmentRepeated : nil
    }

    /// The message is complete, or came in one piece.
    mutating func forgetFragments(ofResponse isResponse: Bool) {
        guard reassembly?.value.isResponse == isResponse else { return }
        reassembly = nil
        upkeep[.reassembly] = nil
    }

    /// Whether this is the first fragment of a repetition that was cut anew: other octets than before, and authentic (RFC 7383 section 2.5.2).
    mutating func isCutAnew(_ sealed: Sealed, _ octets: [UInt8]) -> Bool {
        guard case .fragment(let fragment) = sealed, fragment.fragmentNumber == 1 else { return false }
        return protection.text(of: octets, fragment.content) != nil
    }

    /// A protected message, in fragments where it must be.
    mutating func seal(_ header: IKEHeader, _ payloads: [Payload], from local: Endpoint) -> [[UInt8]]? {
        protection.seal(header, payloads, largest: fragmentation?.largestMessage(from: local), entropy: entropy)
    }
}

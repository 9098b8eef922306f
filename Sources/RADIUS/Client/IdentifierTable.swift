import Wire

/// One socket's 256 identifiers (RFC 2865 section 3). One that was given back is used again last, so that a late reply finds its request gone
/// and not another in its place.
struct IdentifierTable: Sendable {
    enum Slot: Equatable, Sendable {
        case unused
        case outstanding(RADIUSClient.TransactionID)
        /// Answered; another reply is a duplicate.
        case answered
        /// Given up, or moved to another server; a reply comes too late.
        case left
    }

    static let size = 256

    private var slots = [Slot](repeating: .unused, count: size)
    private var free = (0..<size).map { UInt8($0) }
    /// Where the next free one stands in `free`, a ring.
    private var head = 0
    private var freeCount = size
    /// Since when none is outstanding.
    private(set) var idleSince: Instant

    init(at now: Instant) {
        idleSince = now
    }

    var isFull: Bool { freeCount == 0 }
    var isIdle: Bool { freeCount == Self.size }
    var outstanding: Int { Self.size - freeCount }

    subscript(identifier: UInt8) -> Slot { slots[Int(identifier)] }

    /// The identifier longest unused, or nil when all are outstanding.
    mutating func take(for transaction: RADIUSClient.TransactionID) -> UInt8? {
        guard freeCount > 0 else { return nil }
        let identifier = free[head]
        head = (head + 1) % Self.size
        freeCount -= 1
        slots[Int(identifier)] = .outstanding(transaction)
        return identifier
    }

    /// Gives one back; nothing happens unless it is outstanding.
    mutating func giveBack(_ identifier: UInt8, as slot: Slot, at now: Instant) {
        guard case .outstanding = slots[Int(identifier)] else { return }
        slots[Int(identifier)] = slot
        free[(head + freeCount) % Self.size] = identifier
        freeCount += 1
        idleSince = now
    }

    /// The transactions that wait for a reply.
    var transactions: [RADIUSClient.TransactionID] {
        slots.compactMap { if case .outstanding(let transaction) = $0 { transaction } else { nil } }
    }
}

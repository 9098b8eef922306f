/// The number of a record: records of a server policy go out in this order, as far as order matters.
package typealias AccountingRecordID = Int64

/// A record as it is kept.
package struct SpooledRecord: Hashable, Sendable {
    package var id: AccountingRecordID
    /// The server policy.
    package var policy: String
    package var session: String
    /// May be refused, or dropped later, for want of room.
    package var isInterim: Bool
    package var content: [UInt8]

    package init(id: AccountingRecordID, policy: String, session: String, isInterim: Bool, content: [UInt8]) {
        self.id = id
        self.policy = policy
        self.session = session
        self.isInterim = isInterim
        self.content = content
    }
}

/// A session that began and did not end: its content is the Stop that a crash makes necessary.
package struct SpooledSession: Hashable, Sendable {
    package var session: String
    package var policy: String
    package var content: [UInt8]

    package init(session: String, policy: String, content: [UInt8]) {
        self.session = session
        self.policy = policy
        self.content = content
    }
}

/// One thing to keep; whoever keeps it does so in order, and all of a list or nothing.
package enum SpoolChange: Hashable, Sendable {
    /// What a record does to its session, in the same transaction.
    package enum Live: Hashable, Sendable {
        case none
        case write([UInt8])
        case remove
    }

    case record(SpooledRecord, live: Live)
    /// The record reached its server.
    case delivered(AccountingRecordID)
    case live(SpooledSession)
    case ended(session: String)

    /// The session whose row it writes or removes.
    private var changedSession: String? {
        switch self {
        case .record(let record, let live): live == .none ? nil : record.session
        case .delivered: nil
        case .live(let session): session.session
        case .ended(let session): session
        }
    }

    /// The same effect with fewer changes, for a store that has long refused: what was delivered meanwhile is not kept any more, and of a
    /// session only its last state. What is left grows with records on their way and sessions, not with time.
    static func shortened(_ changes: [SpoolChange]) -> [SpoolChange] {
        var own: Set<AccountingRecordID> = []
        var delivered: Set<AccountingRecordID> = []
        var last: [String: Int] = [:]
        for (index, change) in changes.enumerated() {
            if case .record(let record, _) = change { own.insert(record.id) }
            if case .delivered(let id) = change { delivered.insert(id) }
            if let session = change.changedSession { last[session] = index }
        }
        let gone = own.intersection(delivered)
        return changes.enumerated().compactMap { index, change in
            let isLast = change.changedSession.map { last[$0] == index } ?? true
            switch change {
            case .record(let record, let live) where gone.contains(record.id):
                guard isLast else { return nil }
                switch live {
                case .none: return nil
                case .write(let content): return .live(SpooledSession(session: record.session, policy: record.policy, content: content))
                case .remove: return .ended(session: record.session)
                }
            case .record(let record, _): return isLast ? change : .record(record, live: .none)
            case .delivered(let id): return gone.contains(id) ? nil : change
            case .live, .ended: return isLast ? change : nil
            }
        }
    }
}

/// How much accounting may wait on the disk, and what happens then (features.md RAD-7; `management.accounting-spool`).
package struct SpoolSettings: Hashable, Sendable {
    /// Octets that records on their way and the Stops to come of live sessions may take.
    package var maximumSize: Int
    package var whenFull: WhenFull

    package enum WhenFull: Hashable, Sendable {
        /// No login until there is room; interim records are refused meanwhile.
        case refuseLogins
        /// The oldest interim records make room; without any, as `refuseLogins`.
        case dropOldestInterim
    }

    package init(maximumSize: Int = 1 << 30, whenFull: WhenFull = .refuseLogins) {
        self.maximumSize = max(maximumSize, 1)
        self.whenFull = whenFull
    }
}

/// How full the spool is; the operator hears of each change.
package enum SpoolLevel: Int, Hashable, Sendable, Comparable {
    case normal
    /// 80 % and more; left under 75 %.
    case high
    /// No room for another session: logins are to be refused. Left under 95 %.
    case full

    package static func < (left: SpoolLevel, right: SpoolLevel) -> Bool { left.rawValue < right.rawValue }
}

/// What a commit did beside what it was asked to; nothing of it may stay silent.
package struct CommitOutcome: Hashable, Sendable {
    /// Interim records of this commit that were not stored, since the spool is full.
    package var refused: [Int64] = []
    /// Interim records, of any commit, that made room.
    package var dropped: [Int64] = []
    /// The level that this commit led to, if it is another one than before.
    package var level: SpoolLevel?

    package init(refused: [Int64] = [], dropped: [Int64] = [], level: SpoolLevel? = nil) {
        self.refused = refused
        self.dropped = dropped
        self.level = level
    }
}

/// The sizes of what is stored. A live session counts as the Stop that it will leave, so a Stop always finds room; Starts are stored always too,
/// since the login that they belong to was let in: whoever lets it in asks `level` first.
package struct SpoolState: Hashable, Sendable {
    package internal(set) var settings: SpoolSettings
    package internal(set) var level = SpoolLevel.normal
    /// Octets stored, with what the database needs for each row.
    package internal(set) var octets = 0
    package internal(set) var interimOctets = 0
    package internal(set) var records = 0
    package internal(set) var liveSessions = 0
    /// Interim records that were refused or dropped since the start.
    package internal(set) var lostInterims = 0

    /// What a row takes beside its texts and octets.
    static let rowOverhead = 64
    /// What a Stop is longer than the live session's row that it replaces, with room to spare.
    static let stopMargin = 64

    /// No login may be let in.
    package var refusesLogins: Bool { level == .full }
    package var percentage: Int { Int(clamping: Int64(clamping: octets) * 100 / Int64(settings.maximumSize)) }

    mutating func added(_ size: Int, isInterim: Bool) {
        records += 1
        octets += size
        if isInterim { interimOctets += size }
    }

    mutating func removed(_ size: Int, isInterim: Bool) {
        records -= 1
        octets -= size
        if isInterim { interimOctets -= size }
    }

    /// What can make room is no reason to refuse anyone.
    private var unavoidable: Int { settings.whenFull == .dropOldestInterim ? octets - interimOctets : octets }

    /// Settles the level after changes; the new one, or nil when it is the old one.
    mutating func settle() -> SpoolLevel? {
        func reaches(_ share: Int, of value: Int) -> Bool {
            let (product, overflow) = value.multipliedReportingOverflow(by: 100)
            let limit = settings.maximumSize.multipliedReportingOverflow(by: share)
            return overflow || !limit.overflow && product >= limit.partialValue
        }
        let old = level
        if reaches(old == .full ? 95 : 100, of: unavoidable) {
            level = .full
        } else {
            level = reaches(old >= .high ? 75 : 80, of: octets) ? .high : .normal
        }
        return level == old ? nil : level
    }
}

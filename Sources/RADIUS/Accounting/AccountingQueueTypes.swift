package import Wire

/// Where records go, by the name of the server policy, and who we are there.
package struct AccountingDestination: Hashable, Sendable {
    package var policy: String
    package var nas: NASDescription
    /// What Accounting-On and -Off carry of the NAS.
    package var selected: Set<AccountingAttribute>

    package init(policy: String, nas: NASDescription, selected: Set<AccountingAttribute>) {
        self.policy = policy
        self.nas = nas
        self.selected = selected
    }
}

/// A session that begins.
package struct AccountingSession: Sendable {
    package var subject: AccountingSubject
    package var policy: String
    /// nil: no interim records.
    package var interim: InterimTiming?

    package init(subject: AccountingSubject, policy: String, interim: InterimTiming?) {
        self.subject = subject
        self.policy = policy
        self.interim = interim
    }
}

/// What a start finds: the work of the run before.
package struct AccountingRemains: Sendable {
    /// The id of the newest record, 0 without any.
    package var newest: AccountingRecordID
    /// Server policies with records.
    package var policies: Set<String>
    /// Sessions that a crash left open.
    package var sessions: [SpooledSession]

    package init(newest: AccountingRecordID = 0, policies: Set<String> = [], sessions: [SpooledSession] = []) {
        self.newest = newest
        self.policies = policies
        self.sessions = sessions
    }
}

/// What the operator must hear of accounting; each that can end is told once each way.
package enum AccountingAlarm: Hashable, Sendable {
    /// Records are not being stored: they are sent, but a crash would lose them, and logins are refused.
    case storing(isFailing: Bool)
    /// A server policy's servers do not acknowledge.
    case delivery(policy: String, isFailing: Bool)
    /// Records wait for a server policy that the configuration does not have (any more).
    case unknownPolicy(String)
    /// A stored record, or (0) a stored session, cannot be read and is given up.
    case unreadable(AccountingRecordID, policy: String)
    /// Interim records were refused or dropped for want of room.
    case lostInterims(Int)
}

extension AccountingQueue {
    package enum Input: Sendable {
        /// A tunnel is up: Start. A second one of the same session is ignored.
        case start(AccountingSession)
        /// The answer to `.sample`.
        case interim(session: String, AccountingCounters)
        /// The session has ended: Stop, exactly one for a Start.
        case stop(session: String, AccountingCounters, TerminateCause)
        /// Acct-Interim-Interval of a CoA-Request; nil: none any more.
        case interimTiming(session: String, InterimTiming?)
        /// The last `.store` is on the disk, without the interim records named: refused, or dropped by it.
        case stored(refused: [AccountingRecordID], dropped: [AccountingRecordID])
        /// It is not.
        case notStored
        /// The answer to `.load`; fewer than were asked for are all.
        case loaded(policy: String, [SpooledRecord])
        case notLoaded(policy: String)
        /// The Accounting-Response for a `.send` came.
        case acknowledged(AccountingRecordID)
        /// A transaction ended without one.
        case failed(AccountingRecordID)
        /// Another configuration: all destinations.
        case destinations([AccountingDestination])
        /// A clean stop: Stops for what still lives, then Accounting-Off; `.finished` comes by then.
        case shutDown(until: Instant)
        case deadline
    }

    package enum Output: Hashable, Sendable {
        /// To be kept in this order, together; answered with `.stored` or `.notStored`. One at a time.
        case store([SpoolChange])
        case load(policy: String, after: AccountingRecordID, limit: Int)
        /// As a new transaction, so with a new identifier; the attributes are those of the record for this delay.
        case send(AccountingRecordID, AccountingRecord, delay: UInt32, policy: String)
        /// An interim record is due: the counters are wanted.
        case sample(session: String)
        case alarm(AccountingAlarm)
        /// The clean stop is done; what was not delivered stays in the spool.
        case finished(undelivered: Int)
    }

    package struct Statistics: Hashable, Sendable {
        /// Records made, by kind.
        package var starts = 0
        package var interims = 0
        package var stops = 0
        package var sent = 0
        package var acknowledged = 0
        package var failed = 0
        package var lostInterims = 0
        /// A Stop or interim of a session that never had a Start, or a second Start: nothing came of it.
        package var ignored = 0
    }
}

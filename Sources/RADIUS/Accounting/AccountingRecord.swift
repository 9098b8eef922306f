import Wire

/// Inner octets and packets of a session: input is what came from the client, output what was sent to it (features.md RAD-7).
package struct AccountingCounters: Hashable, Sendable {
    package var inputOctets: UInt64
    package var outputOctets: UInt64
    package var inputPackets: UInt64
    package var outputPackets: UInt64

    package init(inputOctets: UInt64 = 0, outputOctets: UInt64 = 0, inputPackets: UInt64 = 0, outputPackets: UInt64 = 0) {
        self.inputOctets = inputOctets
        self.outputOctets = outputOctets
        self.inputPackets = inputPackets
        self.outputPackets = outputPackets
    }

    /// Octets above 2^32 go into gigawords (RFC 2869 sections 5.1 and 5.2); packets have no such attribute and wrap.
    var attributes: [RADIUSAttribute] {
        [
            RADIUSAttribute(.acctInputOctets, UInt32(truncatingIfNeeded: inputOctets)),
            RADIUSAttribute(.acctOutputOctets, UInt32(truncatingIfNeeded: outputOctets)),
            RADIUSAttribute(.acctInputGigawords, UInt32(truncatingIfNeeded: inputOctets >> 32)),
            RADIUSAttribute(.acctOutputGigawords, UInt32(truncatingIfNeeded: outputOctets >> 32)),
            RADIUSAttribute(.acctInputPackets, UInt32(truncatingIfNeeded: inputPackets)),
            RADIUSAttribute(.acctOutputPackets, UInt32(truncatingIfNeeded: outputPackets)),
        ]
    }
}

/// One thing that a server is told: RFC 2866, whole in itself, so that it can wait on the disk (features.md RAD-7, X-2, X-10).
package struct AccountingRecord: Hashable, Sendable {
    /// Acct-Status-Type, RFC 2866 section 5.1 and RFC 2869 section 2.1.
    package enum Kind: UInt8, Hashable, Sendable, CaseIterable {
        case start = 1
        case stop = 2
        case interim = 3
        case on = 7
        case off = 8

        /// It is about the gateway, not a session: what comes before must have arrived, and what comes after waits.
        package var isBarrier: Bool { self == .on || self == .off }
        /// It says how long and how much.
        var hasUsage: Bool { self == .stop || self == .interim }
    }

    package var kind: Kind
    package var subject: AccountingSubject
    /// When it happened, by the wall clock: seconds since 1970.
    package var eventTime: UInt32
    /// Seconds that the session has lasted.
    package var sessionTime: UInt32
    package var counters: AccountingCounters
    /// Of a Stop.
    package var cause: TerminateCause?

    package init(
        kind: Kind, subject: AccountingSubject, eventTime: UInt32, sessionTime: UInt32 = 0, counters: AccountingCounters = AccountingCounters(),
        cause: TerminateCause? = nil
    ) {
        self.kind = kind
        self.subject = subject
        self.eventTime = eventTime
        self.sessionTime = sessionTime
        self.counters = counters
        self.cause = cause
    }

    /// The attributes of an Accounting-Request that is sent `delay` seconds after the event.
    package func attributes(delay: UInt32) -> [RADIUSAttribute] {
        var attributes = [RADIUSAttribute(.acctStatusType, UInt32(kind.rawValue))]
        attributes += subject.attributes
        attributes.append(RADIUSAttribute(.eventTimestamp, eventTime))
        attributes.append(RADIUSAttribute(.acctDelayTime, delay))
        if kind.hasUsage {
            attributes.append(RADIUSAttribute(.acctSessionTime, sessionTime))
            if subject.hasStatistics { attributes += counters.attributes }
        }
        if kind == .stop, let cause { attributes.append(RADIUSAttribute(.acctTerminateCause, cause.rawValue)) }
        return attributes
    }
}

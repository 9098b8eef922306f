package import Wire

/// A record as the spool keeps it: version, kind, cause, a set of flags, four times 64 bits and twice 32 of numbers, then texts with their lengths.
extension AccountingRecord {
    /// What this program writes; it reads nothing newer.
    static let version: UInt8 = 1
    /// More Class attributes than a packet of 4096 octets can hold.
    static let maximumClasses = 2038

    private enum Field: UInt16, CaseIterable {
        case statistics = 1
        case ipv4Address = 2
        case ipv6Address = 4
        case nasIPv4Address = 8
        case nasIPv6Address = 16
        case nasIdentifier = 32
        case nasPortID = 64
        case calledStationID = 128
        case callingStationID = 256
    }

    package var encoded: [UInt8] {
        var octets: [UInt8] = [Self.version, kind.rawValue, UInt8(truncatingIfNeeded: cause?.rawValue ?? 0)]
        let present: [(Field, Bool)] = [
            (.statistics, subject.hasStatistics), (.ipv4Address, subject.ipv4Address != nil), (.ipv6Address, subject.ipv6Address != nil),
            (.nasIPv4Address, subject.nasAddress?.family == .ipv4), (.nasIPv6Address, subject.nasAddress?.family == .ipv6),
            (.nasIdentifier, subject.nasIdentifier != nil), (.nasPortID, subject.nasPortID != nil),
            (.calledStationID, subject.calledStationID != nil), (.callingStationID, subject.callingStationID != nil),
        ]
        octets.append(bigEndian: present.reduce(UInt16(0)) { $1.1 ? $0 | $1.0.rawValue : $0 })
        octets.append(bigEndian: eventTime)
        octets.append(bigEndian: sessionTime)
        for number in [counters.inputOctets, counters.outputOctets, counters.inputPackets, counters.outputPackets] {
            octets.append(bigEndian: number)
        }
        for address in [subject.ipv4Address, subject.ipv6Address, subject.nasAddress] { octets += address?.octets ?? [] }
        Self.append(Array(subject.sessionID.utf8), to: &octets)
        Self.append(subject.userName, to: &octets)
        for text in [subject.nasIdentifier, subject.nasPortID, subject.calledStationID, subject.callingStationID] {
            if let text { Self.append(Array(text.utf8), to: &octets) }
        }
        octets.append(bigEndian: UInt16(truncatingIfNeeded: subject.classes.count))
        for value in subject.classes { Self.append(value, to: &octets) }
        return octets
    }

    /// No value is longer than 253 octets: AccountingSubject saw to it.
    private static func append(_ value: [UInt8], to octets: inout [UInt8]) {
        octets.append(UInt8(clamping: value.count))
        octets += value.prefix(255)
    }

    /// Throws `WireError` for what this version did not write.
    package init(decoding octets: [UInt8]) throws(WireError) {
        var span = unsafe octets.span.bytes
        try self.init(parsing: &span)
        try span.end()
    }

    private init(parsing span: inout RawSpan) throws(WireError) {
        guard try span.next(UInt8.self) == Self.version, let kind = Kind(rawValue: try span.next()) else { throw .badValue }
        let causeNumber = try span.next(UInt8.self)
        let cause = TerminateCause(rawValue: UInt32(causeNumber))
        guard (cause == nil) == (causeNumber == 0) else { throw .badValue }
        let fields = try span.next(UInt16.self)
        guard fields & ~Field.allCases.reduce(0, { $0 | $1.rawValue }) == 0 else { throw .badValue }
        func has(_ field: Field) -> Bool { fields & field.rawValue != 0 }
        guard !has(.nasIPv4Address) || !has(.nasIPv6Address) else { throw .badValue }
        let eventTime = try span.next(UInt32.self)
        let sessionTime = try span.next(UInt32.self)
        var counters = AccountingCounters()
        counters.inputOctets = try span.next()
        counters.outputOctets = try span.next()
        counters.inputPackets = try span.next()
        counters.outputPackets = try span.next()
        let ipv4Address = has(.ipv4Address) ? try IPAddress(parsing: &span, family: .ipv4) : nil
        let ipv6Address = has(.ipv6Address) ? try IPAddress(parsing: &span, family: .ipv6) : nil
        let nasIPv4Address = has(.nasIPv4Address) ? try IPAddress(parsing: &span, family: .ipv4) : nil
        let nasIPv6Address = has(.nasIPv6Address) ? try IPAddress(parsing: &span, family: .ipv6) : nil
        let sessionID = try Self.text(&span)
        guard !sessionID.isEmpty else { throw .badValue }
        let userName = try Self.value(&span)
        let nasIdentifier = has(.nasIdentifier) ? try Self.text(&span) : nil
        let nasPortID = has(.nasPortID) ? try Self.text(&span) : nil
        let calledStationID = has(.calledStationID) ? try Self.text(&span) : nil
        let callingStationID = has(.callingStationID) ? try Self.text(&span) : nil
        let count = Int(try span.next(UInt16.self))
        guard count <= Self.maximumClasses else { throw .tooMany }
        var classes: [[UInt8]] = []
        for _ in 0..<count { classes.append(try Self.value(&span)) }
        let subject = AccountingSubject(
            stored: sessionID, userName: userName, classes: classes, ipv4Address: ipv4Address, ipv6Address: ipv6Address,
            nasIdentifier: nasIdentifier, nasAddress: nasIPv4Address ?? nasIPv6Address, nasPortID: nasPortID, calledStationID: calledStationID,
            callingStationID: callingStationID, hasStatistics: has(.statistics))
        self.init(kind: kind, subject: subject, eventTime: eventTime, sessionTime: sessionTime, counters: counters, cause: cause)
    }

    private static func value(_ span: inout RawSpan) throws(WireError) -> [UInt8] {
        let count = Int(try span.next(UInt8.self))
        guard count <= 253 else { throw .badLength }
        return try span.octets(count)
    }

    private static func text(_ span: inout RawSpan) throws(WireError) -> String {
        guard let text = String(validating: try value(&span), as: UTF8.self) else { throw .badValue }
        return text
    }
}

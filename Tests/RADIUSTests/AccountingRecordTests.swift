import RADIUS
import Testing
import Wire

let gateway = NASDescription(identifier: "gw-1", address: IPAddress(v4: 0xc000_0201))

func subject(
    _ sessionID: String = "192.0.2.1-198.51.100.2:4500-1795230880", user: [UInt8] = Array("alice".utf8), classes: [[UInt8]] = [],
    nas: NASDescription = gateway, selected: Set<AccountingAttribute> = [.statistics]
) throws -> AccountingSubject {
    try AccountingSubject(
        sessionID: sessionID, userName: user, classes: classes,
        addresses: [IPAddress(v4: 0x0a14_0007), try #require(IPAddress("2001:db8:5::7"))], nas: nas, nasPortID: "tunnel-1.public:3",
        calledStationID: "192.0.2.1", callingStationID: "198.51.100.2:4500", selected: selected)
}

private func numbers(_ record: AccountingRecord, delay: UInt32 = 0) -> [RADIUSAttributeType: UInt32] {
    Swift.Dictionary(record.attributes(delay: delay).compactMap { a in a.integer.map { (a.type, $0) } }, uniquingKeysWith: { first, _ in first })
}

@Suite("RFC 2866, RAD-7: accounting records")
struct AccountingRecordTests {
    @Test func RAD7_aStartHasNeitherTimeNorCounters() throws {
        let record = AccountingRecord(
            kind: .start, subject: try subject(), eventTime: 1_795_230_880, sessionTime: 9, counters: AccountingCounters(inputOctets: 1))
        #expect(
            record.attributes(delay: 0) == [
                RADIUSAttribute(.acctStatusType, 1), RADIUSAttribute(.acctSessionID, "192.0.2.1-198.51.100.2:4500-1795230880"),
                RADIUSAttribute(.userName, "alice"), RADIUSAttribute(.nasIdentifier, "gw-1"), RADIUSAttribute(.eventTimestamp, 1_795_230_880),
                RADIUSAttribute(.acctDelayTime, 0),
            ])
    }

    @Test(arguments: [AccountingRecord.Kind.interim, .stop])
    func X10_interimsAndStopsSayHowLongAndHowMuch(kind: AccountingRecord.Kind) throws {
        let counters = AccountingCounters(inputOctets: 6500, outputOctets: 6501, inputPackets: 5, outputPackets: 6)
        let record = AccountingRecord(
            kind: kind, subject: try subject(), eventTime: 7, sessionTime: 3600, counters: counters, cause: kind == .stop ? .lostCarrier : nil)
        let found = numbers(record, delay: 12)
        #expect(found[.acctStatusType] == UInt32(kind == .stop ? 2 : 3))
        #expect(found[.acctDelayTime] == 12 && found[.acctSessionTime] == 3600)
        #expect(found[.acctInputOctets] == 6500 && found[.acctOutputOctets] == 6501)
        #expect(found[.acctInputPackets] == 5 && found[.acctOutputPackets] == 6)
        #expect(found[.acctInputGigawords] == 0 && found[.acctOutputGigawords] == 0)
        #expect(found[.acctTerminateCause] == (kind == .stop ? 2 : nil))
    }

    @Test func RAD7_withoutStatisticsThereAreNoCounters() throws {
        let record = AccountingRecord(kind: .stop, subject: try subject(selected: []), eventTime: 7, sessionTime: 60, cause: .userRequest)
        let types = Set(record.attributes(delay: 0).map(\.type))
        #expect(types.isDisjoint(with: [.acctInputOctets, .acctOutputOctets, .acctInputGigawords, .acctInputPackets]))
        #expect(types.isSuperset(of: [.acctSessionTime, .acctTerminateCause]))
    }

    /// 5 GB, and what lies around 2^32 (RFC 2869 section 5.1).
    @Test(arguments: [
        (5_000_000_000 as UInt64, 705_032_704 as UInt32, 1 as UInt32), (4_294_967_295, .max, 0), (4_294_967_296, 0, 1), (4_294_967_297, 1, 1),
        (5_368_709_120, 1_073_741_824, 1), (.max, .max, .max), (0, 0, 0),
    ])
    func RFC2869_5_1_gigawords(octets: UInt64, low: UInt32, high: UInt32) throws {
        let counters = AccountingCounters(inputOctets: octets, outputOctets: octets ^ 1, inputPackets: 4_294_967_298, outputPackets: 3)
        let found = numbers(AccountingRecord(kind: .stop, subject: try subject(), eventTime: 1, counters: counters, cause: .userRequest))
        #expect(found[.acctInputOctets] == low && found[.acctInputGigawords] == high)
        #expect(found[.acctOutputOctets] == low ^ 1 && found[.acctOutputGigawords] == high)
        #expect(found[.acctInputPackets] == 2 && found[.acctOutputPackets] == 3)
    }

    @Test func RAD7_whatIsSelectedIsThereAndNothingElse() throws {
        func types(_ selected: Set<AccountingAttribute>, _ nas: NASDescription = gateway) throws -> [RADIUSAttributeType] {
            AccountingRecord(kind: .start, subject: try subject(nas: nas, selected: selected), eventTime: 1).attributes(delay: 0).map(\.type)
        }
        let ends: [RADIUSAttributeType] = [.eventTimestamp, .acctDelayTime]
        let begins: [RADIUSAttributeType] = [.acctStatusType, .acctSessionID, .userName]
        #expect(try types([.nasAddress]) == begins + [.nasIPAddress] + ends)
        #expect(try types([.nasAddress, .nasIdentifier]) == begins + [.nasIdentifier, .nasIPAddress] + ends)
        #expect(try types([.nasPortID]) == begins + [.nasIdentifier, .nasPortID] + ends)
        #expect(try types([.calledStationID]) == begins + [.nasIdentifier, .calledStationID] + ends)
        #expect(try types([.callingStationID]) == begins + [.nasIdentifier, .callingStationID] + ends)
        #expect(try types([.framedIPAddress]) == begins + [.nasIdentifier, .framedIPAddress] + ends)
        #expect(try types([.framedIPv6Prefix]) == begins + [.nasIdentifier, .framedIPv6Prefix, .framedIPv6Address] + ends)
        let v6 = NASDescription(identifier: "g", address: IPAddress("2001:db8::1"))
        #expect(try types([.nasAddress], v6) == begins + [.nasIPv6Address] + ends)
        // RFC 2866 section 4.1 wants one of the two
        #expect(try types([.nasAddress], NASDescription(identifier: "g", address: nil)) == begins + [.nasIdentifier] + ends)
    }

    @Test func RAD7_theSessionIsTheOneOfItsAccessRequest() throws {
        let identity = RequestIdentity(
            acctSessionID: "192.0.2.1-198.51.100.2:4500-1795230880", local: IPAddress(v4: 0xc000_0201),
            remote: Endpoint(IPAddress(v4: 0xc633_6402), port: 4500), systemName: "gw-1", systemAddress: IPAddress(v4: 0xc000_0201),
            portID: "tunnel-1.public:3")
        let all = Set(AccountingAttribute.allCases)
        let addresses = [IPAddress(v4: 0x0a14_0007), try #require(IPAddress("2001:db8:5::7"))]
        let made = try AccountingSubject(identity, userName: Array("alice".utf8), classes: [], addresses: addresses, selected: all)
        #expect(made == (try subject(selected: all)))
    }

    @Test func V6_3_theAddressIsReportedInBothWays() throws {
        let record = AccountingRecord(kind: .start, subject: try subject(selected: [.framedIPv6Prefix, .framedIPAddress]), eventTime: 1)
        let attributes = record.attributes(delay: 0)
        #expect(attributes.first { $0.type == .framedIPv6Prefix }?.value == [0, 128] + (try #require(IPAddress("2001:db8:5::7"))).octets)
        #expect(attributes.first { $0.type == .framedIPv6Address }?.ipv6Address == IPAddress("2001:db8:5::7"))
        #expect(attributes.first { $0.type == .framedIPAddress }?.ipv4Address == IPAddress(v4: 0x0a14_0007))
    }

    @Test func X2_everyClassComesBackInOrder() throws {
        let classes = (0..<10).map { number in [UInt8](repeating: UInt8(number), count: 253) }
        let record = AccountingRecord(kind: .stop, subject: try subject(classes: classes), eventTime: 1, cause: .userRequest)
        let attributes = record.attributes(delay: 0)
        #expect(attributes.filter { $0.type == .class }.map(\.value) == classes)
        try #require(Dictionary.isLoaded)
        let octets = try RADIUSPacket(.accountingRequest, identifier: 1, attributes: attributes).encode(secret: secret)
        let back = try RADIUSPacket(decoding: octets, secret: secret, requiresMessageAuthenticator: false)
        #expect(back.all(.class).map(\.value) == classes)
        #expect(back.attributes.map(\.type) == attributes.map(\.type))
    }

    @Test func threat_P17_theNameThatIsAccounted() {
        let accepted = Array("a".utf8), eap = Array("e".utf8), idi = Array("i".utf8)
        #expect(AccountingSubject.userName(accepted: accepted, eapIdentity: eap, idi: idi) == accepted)
        #expect(AccountingSubject.userName(accepted: nil, eapIdentity: eap, idi: idi) == eap)
        #expect(AccountingSubject.userName(accepted: [], eapIdentity: eap, idi: idi) == eap)
        #expect(AccountingSubject.userName(accepted: nil, eapIdentity: nil, idi: idi) == idi)
    }

    @Test func RAD1_whatDoesNotFitIsRefusedNeverCut() throws {
        #expect(throws: AccountingError.tooLong(.userName)) { try subject(user: [UInt8](repeating: 65, count: 254)) }
        #expect(throws: AccountingError.missing(.userName)) { try subject(user: []) }
        #expect(throws: AccountingError.missing(.acctSessionID)) { try subject("") }
        #expect(throws: AccountingError.tooLong(.acctSessionID)) { try subject(String(repeating: "s", count: 254)) }
        #expect(throws: AccountingError.tooLong(.class)) { try subject(classes: [[UInt8](repeating: 1, count: 254)]) }
        #expect(throws: AccountingError.tooLarge) { try subject(classes: [[UInt8]](repeating: [UInt8](repeating: 1, count: 253), count: 16)) }
        _ = try subject(user: [UInt8](repeating: 65, count: 253), classes: [[UInt8]](repeating: [UInt8](repeating: 1, count: 253), count: 13))
    }

    @Test func RAD7_theCausesHaveTheNumbersOfTheRFC() throws {
        try #require(Dictionary.isLoaded)
        let numbers = TerminateCause.allCases.map(\.rawValue)
        #expect(numbers == [1, 2, 4, 5, 6, 7, 9, 10, 11])
        #expect(Set(TerminateCause.allCases.map(\.name)).count == numbers.count)
    }

    // MARK: The spool's coding

    private func samples() throws -> [AccountingRecord] {
        let full = try subject(
            user: Array("böb\u{0}".utf8), classes: [[1, 2, 3], [], [UInt8](repeating: 9, count: 253)], selected: Set(AccountingAttribute.allCases))
        let v6 = try subject(nas: NASDescription(identifier: "g", address: IPAddress("2001:db8::1")), selected: [.nasAddress])
        let counters = AccountingCounters(inputOctets: .max, outputOctets: 5_000_000_000, inputPackets: 1, outputPackets: 2)
        return [
            AccountingRecord(kind: .start, subject: full, eventTime: 1_795_230_880),
            AccountingRecord(kind: .interim, subject: full, eventTime: .max, sessionTime: .max, counters: counters),
            AccountingRecord(kind: .stop, subject: v6, eventTime: 0, sessionTime: 1, counters: counters, cause: .nasReboot),
            AccountingRecord(kind: .on, subject: try AccountingSubject(gateway: gateway, sessionID: "gateway-1", selected: []), eventTime: 3),
            AccountingRecord(
                kind: .off, subject: try AccountingSubject(gateway: gateway, sessionID: "gateway-1", selected: [.nasAddress]), eventTime: 3),
        ]
    }

    @Test func spool_whatIsWrittenIsRead() throws {
        for record in try samples() { #expect(try AccountingRecord(decoding: record.encoded) == record) }
    }

    @Test func spool_aNewerVersionIsNotGuessedAt() throws {
        for record in try samples() {
            #expect(throws: WireError.badValue) { try AccountingRecord(decoding: record.encoded.changing(0, to: 2)) }
            #expect(throws: WireError.trailingOctets) { try AccountingRecord(decoding: record.encoded + [0]) }
            #expect(throws: (any Error).self) { try AccountingRecord(decoding: Array(record.encoded.dropLast())) }
        }
        #expect(throws: WireError.truncated) { try AccountingRecord(decoding: []) }
    }

    /// A damaged row is refused with a type, or is some other record that encodes to the same octets; never a trap.
    @Test func threat_C1_damagedRows() throws {
        var random = Seeded(20_260)
        let samples = try samples().map(\.encoded)
        var readable = 0
        for _ in 0..<10_000 {
            var octets = samples[random.below(samples.count)]
            for _ in 0...random.below(4) {
                switch random.below(3) {
                case 0: octets[random.below(octets.count)] = UInt8(random.below(256))
                case 1: octets.removeLast(random.below(min(8, octets.count)))
                default: octets.insert(UInt8(random.below(256)), at: random.below(octets.count + 1))
                }
                if octets.isEmpty { octets = [1] }
            }
            guard let record = try? AccountingRecord(decoding: octets) else { continue }
            readable += 1
            #expect(record.encoded == octets)
            #expect(record.attributes(delay: 1).count > 3)
        }
        print("\(readable) of 10000 damaged rows were records")
        #expect(readable > 0 && readable < 9000)
    }
}

/// A repeatable stream of numbers; prints its seed.
struct Seeded {
    private var state: UInt64

    init(_ seed: UInt64, quietly: Bool = false) {
        state = seed
        if !quietly { print("seed \(seed)") }
    }

    mutating func below(_ limit: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return Int((word ^ word >> 31) % UInt64(max(limit, 1)))
    }
}

import RADIUS
import Testing
import Wire

/// An Access-Accept with everything that we follow, as octets.
enum AcceptAttributes {
    static let all: [RADIUSAttribute] = [
        .init(.userName, "alice@example.com"), .init(.class, "one"), .init(.class, [0, 1, 2]), .init(.replyMessage, "welcome"),
        .init(.replyMessage, "back"),
        .init(.alcIPsecServID, 10), .init(.alcIPsecInterface, "priv0"), .init(.alcIPsecTunnelTemplateID, 3), .init(.alcIPsecSALifetime, 7200),
        .init(.alcIPsecSAPFSGroup, 5), .init(.alcIPsecSAEncrAlgorithm, 6), .init(.alcIPsecSAAuthAlgorithm, 3), .init(.alcIPsecSAReplayWindow, 64),
        .init(.framedIPAddress, [10, 1, 2, 3]), .init(.framedIPNetmask, [255, 255, 255, 0]), .init(.framedPool, "staff"),
        .init(.framedIPv6Pool, "staff6"),
        .init(.framedIPv6Address, [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [9]),
        .init(.framedIPv6Prefix, [0, 64, 0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2]), .init(.framedInterfaceID, [0, 0, 0, 0, 0, 0, 0, 7]),
        .init(.alcPrimaryDNS, [10, 0, 0, 53]), .init(.alcSecondaryDNS, [10, 0, 0, 54]), .init(.msPrimaryDNSServer, [10, 0, 0, 99]),
        .init(.alcIPv6PrimaryDNS, [0x20, 1, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [53]),
        .init(.framedRoute, "192.168.7.0/24 10.1.2.3 1"), .init(.framedRoute, "192.168.8.1"), .init(.framedIPv6Route, "2001:db8:7::/48 :: 1"),
        .init(.delegatedIPv6Prefix, [0, 56, 0x20, 1, 0x0d, 0xb8, 0, 8, 0]), .init(.filterID, "corporate"), .init(.sessionTimeout, 3600),
        .init(.idleTimeout, 600), .init(.acctInterimInterval, 300), .init(.portLimit, 2), .init(.init(26), [0, 0, 0, 9, 1, 3, 65]),
    ]

    /// The attributes alone, for mutation.
    static let full: [UInt8] = {
        guard Dictionary.isLoaded, let octets = try? reply(.accessAccept, all) else {
            Issue.record("the attributes cannot be encoded")
            return []
        }
        return Array(octets.dropFirst(38))
    }()
}

@Suite("Access-Accept")
struct AccessAcceptTests {
    init() throws { try #require(Dictionary.isLoaded) }

    func accept(_ attributes: [RADIUSAttribute]) throws -> AccessAccept {
        try AccessAccept(decoded(reply(.accessAccept, attributes)))
    }

    @Test("RAD-5, X-3: every attribute, from octets to types; unknown ones ignored")
    func RAD_5_everything() throws {
        let accept = try accept(AcceptAttributes.all)
        #expect(accept.userName == Array("alice@example.com".utf8))
        #expect(accept.classes == [Array("one".utf8), [0, 1, 2]])
        #expect(accept.replyMessage == "welcome back")
        #expect(accept.serviceID == 10 && accept.interface == "priv0" && accept.tunnelTemplate == 3)
        #expect(accept.saLifetime == .seconds(7200) && accept.pfsGroup == .modp1536 && accept.replayWindow == 64)
        #expect(accept.encryption?.algorithm == .aesCBC && accept.encryption?.keyLength == 256 && accept.integrity == .separate(.hmacSHA1_96))
        #expect(accept.framedIPAddress == IPAddress("10.1.2.3").map { .address($0) } && accept.framedIPNetmask == 24)
        #expect(accept.framedPool == "staff" && accept.framedIPv6Pool == "staff6")
        #expect(accept.framedIPv6Address == IPAddress("2001:db8::9") && accept.framedIPv6Prefix == IPPrefix("2001:db8:1:2::/64"))
        #expect(accept.framedInterfaceID == 7 && accept.framedIPv6Host == IPAddress("2001:db8:1:2::7"))
        #expect(accept.ipv4DNS == [IPAddress("10.0.0.53"), IPAddress("10.0.0.54")] && accept.ipv6DNS == [IPAddress("2001:db8::35")])
        #expect(accept.routes == [IPPrefix("192.168.7.0/24"), IPPrefix("192.168.8.1/32"), IPPrefix("2001:db8:7::/48")])
        #expect(accept.delegatedIPv6Prefixes == [IPPrefix("2001:db8:8::/56")])
        #expect(accept.filterID == "corporate" && accept.sessionTimeout == .seconds(3600) && accept.idleTimeout == .seconds(600))
        #expect(accept.interimInterval == .seconds(300) && accept.portLimit == 2)
        #expect(try self.accept([]) == AccessAccept())
    }

    @Test("X-8: the two addresses that are none; X-3: Microsoft's DNS where there are no others; zeros that turn off")
    func X_8_specialValues() throws {
        #expect(try accept([.init(.framedIPAddress, [255, 255, 255, 254])]).framedIPAddress == .choose)
        #expect(try accept([.init(.framedIPAddress, [255, 255, 255, 255])]).framedIPAddress == .clientsWish)
        let dns = try accept([.init(.msPrimaryDNSServer, [10, 0, 0, 1]), .init(.msSecondaryDNSServer, [0, 0, 0, 0])])
        #expect(dns.ipv4DNS == [IPAddress("10.0.0.1")])
        let off = try accept([.init(.idleTimeout, 0), .init(.acctInterimInterval, 0), .init(.portLimit, 0)])
        #expect(off.idleTimeout == nil && off.interimInterval == nil && off.portLimit == 0)
    }

    @Test(
        "V6-3: Framed-IPv6-Prefix /128 as it is, a shorter one with Framed-Interface-Id, else ours to choose; the prefix is never left",
        arguments: [
            ("2001:db8::5/128", nil, "2001:db8::5"), ("2001:db8::5/128", [0, 0, 0, 0, 0, 0, 0, 9], "2001:db8::5"),
            ("2001:db8:1::/64", nil, nil), ("2001:db8:1::/64", [2, 0, 0, 0xff, 0xfe, 0, 0, 1], "2001:db8:1:0:200:ff:fe00:1"),
            ("2001:db8:1::/48", [0, 0, 0, 0, 0, 0, 0, 1], "2001:db8:1::1"), ("2001:db8:1::ff00/120", [1, 2, 3, 4, 5, 6, 7, 8], "2001:db8:1::ff08"),
            ("2001:db8:1::ff00/120", [1, 2, 3, 4, 5, 6, 7, 0], nil),
        ] as [(String, [UInt8]?, String?)])
    func V6_3_interfaceID(prefix: String, identifier: [UInt8]?, host: String?) throws {
        let prefix = try #require(IPPrefix(prefix))
        let accept = try accept([.init(.framedIPv6Prefix, prefix)] + (identifier.map { [.init(.framedInterfaceID, $0)] } ?? []))
        #expect(accept.framedIPv6Host == host.flatMap { IPAddress($0) })
        #expect(accept.framedIPv6Host.map { prefix.contains($0) } != false)
        for bad in [[0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1], [UInt8](repeating: 1, count: 9)] as [[UInt8]] {
            let error = #expect(throws: AccessAcceptError.self) {
                try self.accept([.init(.framedIPv6Prefix, prefix), .init(.framedInterfaceID, bad)])
            }
            #expect(error?.attribute == .framedInterfaceID)
        }
    }

    @Test(
        "algorithms by the vendor's numbers",
        arguments: [
            (1, EncryptionAlgorithm.null, nil), (2, .des, nil), (3, .tripleDES, nil), (4, .aesCBC, 128), (5, .aesCBC, 192), (6, .aesCBC, 256),
            (7, .aesGCM8, 128), (9, .aesGCM16, 128), (12, .aesGCM16, 192), (13, .aesGCM8, 256), (15, .aesGCM16, 256), (16, .nullAESGMAC, 128),
            (18, .nullAESGMAC, 256),
        ] as [(UInt32, EncryptionAlgorithm, Int?)])
    func RAD_5_algorithms(number: UInt32, algorithm: EncryptionAlgorithm, keyLength: Int?) throws {
        let encryption = try #require(try accept([.init(.alcIPsecSAEncrAlgorithm, number)]).encryption)
        #expect(encryption.algorithm == algorithm && encryption.keyLength == keyLength && encryption.isAEAD == (number >= 7))
        let integrity = try accept([.init(.alcIPsecSAEncrAlgorithm, number), .init(.alcIPsecSAAuthAlgorithm, number >= 7 ? 8 : 4)]).integrity
        #expect(integrity == (number >= 7 ? .authenticatedEncryption : .separate(.hmacSHA256_128)))
    }

    static let long = [UInt8](repeating: 7, count: 253)

    @Test(
        "a value that cannot be followed refuses the login, with its name",
        arguments: [
            ([.init(.alcIPsecServID, 0)], "Alc-IPsec-Serv-Id 0 is outside"),
            ([.init(.alcIPsecServID, [1, 2])], "Alc-IPsec-Serv-Id is no number"),
            ([.init(.alcIPsecServID, 1), .init(.alcIPsecServID, 2)], "Alc-IPsec-Serv-Id stands there 2 times"),
            ([.init(.alcIPsecInterface, [65, 0, 66])], "Alc-IPsec-Interface is no text"),
            ([.init(.alcIPsecTunnelTemplateID, UInt32.max)], "Alc-IPsec-Tunnel-Template-Id"),
            ([.init(.alcIPsecSALifetime, 1199)], "Alc-IPsec-SA-Lifetime 1199 is outside"),
            ([.init(.alcIPsecSAPFSGroup, 3)], "Alc-IPsec-SA-PFS-Group 3 is not supported"),
            ([.init(.alcIPsecSAEncrAlgorithm, 19)], "Alc-IPsec-SA-Encr-Algorithm 19 is not supported"),
            ([.init(.alcIPsecSAAuthAlgorithm, 1)], "Alc-IPsec-SA-Auth-Algorithm 1 is not supported"),
            ([.init(.alcIPsecSAEncrAlgorithm, 7), .init(.alcIPsecSAAuthAlgorithm, 4)], "Alc-IPsec-SA-Auth-Algorithm does not go"),
            ([.init(.alcIPsecSAEncrAlgorithm, 4), .init(.alcIPsecSAAuthAlgorithm, 8)], "Alc-IPsec-SA-Auth-Algorithm does not go"),
            ([.init(.alcIPsecSAReplayWindow, 100)], "Alc-IPsec-SA-Replay-Window 100 is not supported"),
            ([.init(.framedIPAddress, [10, 0, 0])], "Framed-IP-Address is no address"),
            ([.init(.framedIPAddress, [127, 0, 0, 1])], "Framed-IP-Address 127.0.0.1 is no client's"),
            ([.init(.framedIPAddress, [224, 0, 0, 1])], "Framed-IP-Address 224.0.0.1 is no client's"),
            ([.init(.framedIPAddress, [0, 0, 0, 0])], "Framed-IP-Address 0.0.0.0 is no client's"),
            ([.init(.framedIPNetmask, [255, 0, 255, 0])], "Framed-IP-Netmask 255.0.255.0 is no netmask"),
            ([.init(.framedIPv6Address, [1, 2, 3])], "Framed-IPv6-Address is no address"),
            ([.init(.framedIPv6Address, [0xfe, 0x80] + [UInt8](repeating: 1, count: 14))], "Framed-IPv6-Address fe80"),
            ([.init(.framedIPv6Prefix, [0, 129] + [UInt8](repeating: 0x20, count: 16))], "Framed-IPv6-Prefix is no prefix"),
            ([.init(.framedIPv6Prefix, [0, 8, 0x20]), .init(.framedIPv6Prefix, [0, 8, 0x21])], "Framed-IPv6-Prefix stands there 2 times"),
            ([.init(.framedRoute, "nowhere")], "Framed-Route is no route"),
            ([.init(.framedRoute, "0.0.0.0/0")], "Framed-Route is no route"),
            ([.init(.framedRoute, "2001:db8::/32")], "Framed-Route is no route"),
            ([.init(.framedIPv6Route, "10.0.0.0/8")], "Framed-IPv6-Route is no route"),
            ([.init(.framedRoute, [0xff, 0xfe])], "Framed-Route is no route"),
            ([.init(.filterID, [0xc3, 0x28])], "Filter-Id is no text"),
            ([.init(.sessionTimeout, 0)], "Session-Timeout 0 is outside"),
            ([.init(.acctInterimInterval, 59)], "Acct-Interim-Interval 59 is not supported"),
            ((0..<17).map { RADIUSAttribute(.class, [$0]) }, "Class is more than accounting can echo"),
            ((0..<12).map { _ in RADIUSAttribute(.class, long) }, "Class is more than accounting can echo"),
        ] as [([RADIUSAttribute], String)])
    func RAD_5_refused(attributes: [RADIUSAttribute], cause: String) throws {
        do {
            _ = try accept(attributes)
            Issue.record("accepted")
        } catch let error as AccessAcceptError {
            #expect("\(error)".hasPrefix("Access-Accept: \(cause)"), "\(error)")
        }
    }
}

@Suite("Access-Request")
struct AccessRequestTests {
    init() throws { try #require(Dictionary.isLoaded) }

    static func identity(v6: Bool = false) -> RequestIdentity {
        let local = IPAddress(v6 ? "2001:db8::1" : "172.16.100.1")
        let remote = IPAddress(v6 ? "2001:db8::2" : "192.168.5.100")
        return RequestIdentity(
            acctSessionID: "session", local: local ?? IPAddress(v4: 0), remote: Endpoint(remote ?? IPAddress(v4: 0), port: 500), systemName: "gw",
            systemAddress: local, portID: "tunnel-1.public:100")
    }

    @Test("RAD-1 to RAD-4: what a request carries, nothing selected")
    func RAD_4_default() throws {
        let request = try AccessRequest(
            userName: Array("alice".utf8), password: Secret(Array("psk".utf8)), identity: Self.identity(), included: IncludedAttributes())
        #expect(
            request.draft().attributes == [
                .init(.userName, "alice"), .init(.userPassword, "psk"), .init(.acctSessionID, "session"), .init(.serviceType, 2),
                .init(.nasPortType, 5),
                .init(.nasIdentifier, "gw"),
            ])
        let without = try AccessRequest(userName: Array("alice".utf8), password: nil, identity: Self.identity(), included: IncludedAttributes())
        #expect(!without.draft().attributes.contains { $0.type == .userPassword })
    }

    @Test("RAD-4: each attribute selectable; an IPv6 system address goes by its own attribute", arguments: [false, true])
    func RAD_4_selected(v6: Bool) throws {
        let all = IncludedAttributes(calledStationID: true, callingStationID: true, nasIdentifier: true, nasIPAddress: true, nasPortID: true)
        let attributes = Self.identity(v6: v6).attributes(all)
        #expect(attributes.map(\.type) == [v6 ? .nasIPv6Address : .nasIPAddress, .nasIdentifier, .nasPortID, .calledStationID, .callingStationID])
        #expect(attributes[2].text == "tunnel-1.public:100")
        #expect(attributes[3].text == (v6 ? "2001:db8::1" : "172.16.100.1"))
        #expect(attributes[4].text == (v6 ? "[2001:db8::2]:500" : "192.168.5.100:500"))
        #expect(Self.identity().attributes(IncludedAttributes(nasIPAddress: true)).map(\.type) == [.nasIPAddress])
        var unnamed = Self.identity()
        unnamed.systemAddress = nil
        unnamed.portID = nil
        #expect(unnamed.attributes(IncludedAttributes(nasIPAddress: true, nasPortID: true)).map(\.type) == [.nasIdentifier])
    }

    @Test("RAD-1: a name over 253 octets is refused, never cut off; a password that hiding cannot carry as well")
    func RAD_1_limits() throws {
        func make(_ name: Int, _ password: [UInt8]?) throws {
            _ = try AccessRequest(
                userName: [UInt8](repeating: 65, count: name), password: password.map { Secret($0) }, identity: Self.identity(),
                included: IncludedAttributes())
        }
        try make(253, [UInt8](repeating: 65, count: 128))
        for name in [0, 254] { #expect(throws: AccessRequestError.unusableName) { try make(name, nil) } }
        for password in [[], [UInt8](repeating: 65, count: 129), [65, 0], [0, 65]] {
            #expect(throws: AccessRequestError.unusablePassword) { try make(5, password) }
        }
    }

    @Test("RAD-3: Acct-Session-Id, and -n for two within a second; a clock set back makes none twice")
    func RAD_3_sessionID() throws {
        var ids = AcctSessionIDs()
        let four = Self.identity()
        let six = Self.identity(v6: true)
        #expect(ids.next(local: four.local, remote: four.remote, time: 1_365_016_423) == "172.16.100.1-192.168.5.100:500-1365016423")
        #expect(ids.next(local: four.local, remote: four.remote, time: 1_365_016_423) == "172.16.100.1-192.168.5.100:500-1365016423-1")
        #expect(ids.next(local: six.local, remote: six.remote, time: 1_365_016_423) == "[2001:db8::1]-[2001:db8::2]:500-1365016423")
        #expect(ids.next(local: four.local, remote: four.remote, time: 1_365_016_424) == "172.16.100.1-192.168.5.100:500-1365016424")
        #expect(ids.next(local: four.local, remote: four.remote, time: 1_365_016_423) == "172.16.100.1-192.168.5.100:500-1365016424-1")
    }
}

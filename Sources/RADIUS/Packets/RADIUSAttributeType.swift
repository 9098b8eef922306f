/// An attribute by number and vendor (0: the standard ones), as IANA and the vendors gave them out; numbers.md.
package struct RADIUSAttributeType: Hashable, Sendable {
    package let vendor: UInt32
    package let number: UInt32

    package init(_ number: UInt32, vendor: UInt32 = 0) {
        self.number = number
        self.vendor = vendor
    }

    /// Octets that a value may have: 253, less what the vendor's header takes (RFC 2865 sections 5 and 5.26).
    package var maximumLength: Int { vendor == 0 ? 253 : 247 }

    // RFC 2865
    package static let userName = RADIUSAttributeType(1)
    package static let userPassword = RADIUSAttributeType(2)
    package static let nasIPAddress = RADIUSAttributeType(4)
    package static let nasPort = RADIUSAttributeType(5)
    package static let serviceType = RADIUSAttributeType(6)
    package static let framedIPAddress = RADIUSAttributeType(8)
    package static let framedIPNetmask = RADIUSAttributeType(9)
    package static let filterID = RADIUSAttributeType(11)
    package static let framedMTU = RADIUSAttributeType(12)
    package static let replyMessage = RADIUSAttributeType(18)
    package static let framedRoute = RADIUSAttributeType(22)
    package static let state = RADIUSAttributeType(24)
    package static let `class` = RADIUSAttributeType(25)
    package static let vendorSpecific = RADIUSAttributeType(26)
    package static let sessionTimeout = RADIUSAttributeType(27)
    package static let idleTimeout = RADIUSAttributeType(28)
    package static let calledStationID = RADIUSAttributeType(30)
    package static let callingStationID = RADIUSAttributeType(31)
    package static let nasIdentifier = RADIUSAttributeType(32)
    package static let proxyState = RADIUSAttributeType(33)
    package static let nasPortType = RADIUSAttributeType(61)
    package static let portLimit = RADIUSAttributeType(62)

    // RFC 2866 and 2869
    package static let acctStatusType = RADIUSAttributeType(40)
    package static let acctDelayTime = RADIUSAttributeType(41)
    package static let acctInputOctets = RADIUSAttributeType(42)
    package static let acctOutputOctets = RADIUSAttributeType(43)
    package static let acctSessionID = RADIUSAttributeType(44)
    package static let acctAuthentic = RADIUSAttributeType(45)
    package static let acctSessionTime = RADIUSAttributeType(46)
    package static let acctInputPackets = RADIUSAttributeType(47)
    package static let acctOutputPackets = RADIUSAttributeType(48)
    package static let acctTerminateCause = RADIUSAttributeType(49)
    package static let acctInputGigawords = RADIUSAttributeType(52)
    package static let acctOutputGigawords = RADIUSAttributeType(53)
    package static let eventTimestamp = RADIUSAttributeType(55)
    package static let connectInfo = RADIUSAttributeType(77)
    package static let eapMessage = RADIUSAttributeType(79)
    package static let messageAuthenticator = RADIUSAttributeType(80)
    package static let acctInterimInterval = RADIUSAttributeType(85)
    package static let nasPortID = RADIUSAttributeType(87)
    package static let framedPool = RADIUSAttributeType(88)

    // RFC 3162, 4818, 5176, 6911
    package static let nasIPv6Address = RADIUSAttributeType(95)
    package static let framedInterfaceID = RADIUSAttributeType(96)
    package static let framedIPv6Prefix = RADIUSAttributeType(97)
    package static let framedIPv6Route = RADIUSAttributeType(99)
    package static let framedIPv6Pool = RADIUSAttributeType(100)
    package static let errorCause = RADIUSAttributeType(101)
    package static let delegatedIPv6Prefix = RADIUSAttributeType(123)
    package static let framedIPv6Address = RADIUSAttributeType(168)

    // RFC 2548
    package static let microsoft: UInt32 = 311
    package static let msMPPESendKey = RADIUSAttributeType(16, vendor: microsoft)
    package static let msMPPERecvKey = RADIUSAttributeType(17, vendor: microsoft)
    package static let msPrimaryDNSServer = RADIUSAttributeType(28, vendor: microsoft)
    package static let msSecondaryDNSServer = RADIUSAttributeType(29, vendor: microsoft)

    // The reference gateway's vendor
    package static let alcatel: UInt32 = 6527
    package static let alcPrimaryDNS = RADIUSAttributeType(9, vendor: alcatel)
    package static let alcSecondaryDNS = RADIUSAttributeType(10, vendor: alcatel)
    package static let alcIPsecServID = RADIUSAttributeType(61, vendor: alcatel)
    package static let alcIPsecInterface = RADIUSAttributeType(62, vendor: alcatel)
    package static let alcIPsecTunnelTemplateID = RADIUSAttributeType(63, vendor: alcatel)
    package static let alcIPsecSALifetime = RADIUSAttributeType(64, vendor: alcatel)
    package static let alcIPsecSAPFSGroup = RADIUSAttributeType(65, vendor: alcatel)
    package static let alcIPsecSAEncrAlgorithm = RADIUSAttributeType(66, vendor: alcatel)
    package static let alcIPsecSAAuthAlgorithm = RADIUSAttributeType(67, vendor: alcatel)
    package static let alcIPsecSAReplayWindow = RADIUSAttributeType(68, vendor: alcatel)
    package static let alcIPv6PrimaryDNS = RADIUSAttributeType(105, vendor: alcatel)
    package static let alcIPv6SecondaryDNS = RADIUSAttributeType(106, vendor: alcatel)
}

extension RADIUSAttributeType: CustomStringConvertible {
    /// The dictionary's name, else the numbers.
    package var description: String {
        RADIUSDictionary.name(of: self) ?? (vendor == 0 ? "attribute \(number)" : "attribute \(vendor).\(number)")
    }
}

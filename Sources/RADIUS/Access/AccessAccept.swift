package import Wire

/// Why an Access-Accept cannot be followed: the login is refused, as the server asked for something that would not be so.
package struct AccessAcceptError: Error, Equatable, Sendable, CustomStringConvertible {
    package let attribute: RADIUSAttributeType
    package let cause: String

    package var description: String { "Access-Accept: \(attribute) \(cause)" }
}

/// What an Access-Accept says about the session: RAD-5 and X-3. Attributes that we do not know are ignored (RFC 2865 section 5).
package struct AccessAccept: Equatable, Sendable {
    /// Framed-IP-Address, RFC 2865 section 5.8 and X-8.
    package enum FramedAddress: Equatable, Sendable {
        case address(IPAddress)
        /// 255.255.255.254: we choose.
        case choose
        /// 255.255.255.255: what the client wishes for.
        case clientsWish
    }

    /// Class attributes that accounting can echo: this many, this many octets in all.
    package static let maximumClasses = 16
    package static let maximumClassOctets = 3000
    package static let maximumRoutes = 64

    /// The authenticated name, where the server gives one (P17).
    package var userName: [UInt8]?
    /// In their order, to be echoed unchanged.
    package var classes: [[UInt8]] = []
    /// For the log.
    package var replyMessage: String?

    // Where the session belongs
    package var serviceID: UInt32?
    package var interface: String?
    package var tunnelTemplate: UInt32?

    // Its Child SA
    /// Seconds.
    package var saLifetime: Duration?
    package var pfsGroup: KeyExchangeMethod?
    package var encryption: SAEncryption?
    package var integrity: SAIntegrity?
    package var replayWindow: Int?

    // Its addresses
    package var framedIPAddress: FramedAddress?
    /// Bits of Framed-IP-Netmask.
    package var framedIPNetmask: Int?
    package var framedIPv6Address: IPAddress?
    package var framedIPv6Prefix: IPPrefix?
    /// The host part of a Framed-IPv6-Prefix; never zero.
    package var framedInterfaceID: UInt64?
    package var framedPool: String?
    package var framedIPv6Pool: String?
    /// Primary, secondary: at most two of each family (RAD-6).
    package var ipv4DNS: [IPAddress] = []
    package var ipv6DNS: [IPAddress] = []

    // What lies behind the client, and what it may reach
    package var routes: [IPPrefix] = []
    package var delegatedIPv6Prefixes: [IPPrefix] = []
    /// The name of a ts-list that narrows further.
    package var filterID: String?

    // How long, how often
    package var sessionTimeout: Duration?
    package var idleTimeout: Duration?
    package var interimInterval: Duration?
    /// Sessions of the user; 0 is no limit.
    package var portLimit: UInt32?

    package init() {}

    /// Reads a packet; throws for a value that cannot be followed, and for a second one where there can be one only.
    package init(_ packet: RADIUSPacket) throws(AccessAcceptError) {
        let reader = AcceptReader(packet)
        userName = try reader.one(.userName)?.value
        classes = packet.all(.class).map(\.value)
        guard classes.count <= Self.maximumClasses, classes.reduce(0, { $0 + $1.count }) <= Self.maximumClassOctets else {
            throw AccessAcceptError(attribute: .class, cause: "is more than accounting can echo")
        }
        replyMessage = packet.replyMessage
        serviceID = try reader.number(.alcIPsecServID, in: 1...2_147_483_647)
        interface = try reader.text(.alcIPsecInterface)
        tunnelTemplate = try reader.number(.alcIPsecTunnelTemplateID, in: 1...2_147_483_647)
        saLifetime = try reader.number(.alcIPsecSALifetime, in: 1200...31_536_000).map { .seconds(Int64($0)) }
        pfsGroup = try reader.choice(.alcIPsecSAPFSGroup, KeyExchangeMethod.init(alcatel:))
        encryption = try reader.choice(.alcIPsecSAEncrAlgorithm, SAEncryption.init(alcatel:))
        integrity = try reader.choice(.alcIPsecSAAuthAlgorithm, SAIntegrity.init(alcatel:))
        try checkSuite()
        replayWindow = try reader.choice(.alcIPsecSAReplayWindow) { [32, 64, 128, 256, 512, 1024, 2048].contains($0) ? Int($0) : nil }
        try readAddresses(reader)
        for (type, family) in [(RADIUSAttributeType.framedRoute, AddressFamily.ipv4), (.framedIPv6Route, .ipv6)] {
            routes += try reader.routes(type, family)
        }
        delegatedIPv6Prefixes = try reader.prefixes(.delegatedIPv6Prefix)
        guard routes.count + delegatedIPv6Prefixes.count <= Self.maximumRoutes else {
            throw AccessAcceptError(attribute: .framedRoute, cause: "stands there more than \(Self.maximumRoutes) times")
        }
        filterID = try reader.text(.filterID)
        sessionTimeout = try reader.number(.sessionTimeout, in: 1...UInt32.max).map { .seconds(Int64($0)) }
        // zero turns them off, as the servers that send it mean it
        idleTimeout = try reader.number(.idleTimeout, in: 0...UInt32.max).flatMap { $0 == 0 ? nil : .seconds(Int64($0)) }
        // RFC 2869 section 5.16: never below 60
        interimInterval = try reader.choice(.acctInterimInterval) { $0 == 0 || $0 >= 60 ? $0 : nil }.flatMap { $0 == 0 ? nil : .seconds(Int64($0)) }
        portLimit = try reader.number(.portLimit, in: 0...UInt32.max)
    }

    /// The host that Framed-IPv6-Prefix means: a /128 as it is, a shorter one with Framed-Interface-Id; nil: we choose its host part (V6-3).
    package var framedIPv6Host: IPAddress? {
        guard let prefix = framedIPv6Prefix else { return nil }
        guard prefix.length < 128 else { return prefix.address }
        // Of a prefix that leaves less than 64 bits the identifier's lower ones are the host part.
        let host = framedInterfaceID.map { UInt128($0) & (UInt128.max >> prefix.length) } ?? 0
        return host == 0 ? nil : IPAddress(family: .ipv6, value: prefix.address.value | host)
    }

    /// An AEAD takes no integrity algorithm, a cipher without one needs it; what is not said is the template's.
    private func checkSuite() throws(AccessAcceptError) {
        guard let encryption, let integrity else { return }
        guard encryption.isAEAD == (integrity == .authenticatedEncryption) else {
            throw AccessAcceptError(attribute: .alcIPsecSAAuthAlgorithm, cause: "does not go with the encryption algorithm")
        }
    }

    private mutating func readAddresses(_ reader: AcceptReader) throws(AccessAcceptError) {
        framedIPAddress = try reader.address(.framedIPAddress, .ipv4).map { address in
            switch address.value {
            case 0xffff_ffff: .clientsWish
            case 0xffff_fffe: .choose
            default: .address(address)
            }
        }
        if case .address(let address) = framedIPAddress { try reader.checkHost(address, .framedIPAddress) }
        framedIPNetmask = try reader.address(.framedIPNetmask, .ipv4).map { mask throws(AccessAcceptError) in
            let length = (~UInt32(truncatingIfNeeded: mask.value)).leadingZeroBitCount
            guard IPPrefix(mask, length: length)?.netmask == mask else {
                throw AccessAcceptError(attribute: .framedIPNetmask, cause: "\(mask) is no netmask")
            }
            return length
        }
        framedIPv6Address = try reader.address(.framedIPv6Address, .ipv6)
        if let framedIPv6Address { try reader.checkHost(framedIPv6Address, .framedIPv6Address) }
        let prefixes = try reader.prefixes(.framedIPv6Prefix)
        guard prefixes.count <= 1 else { throw AccessAcceptError(attribute: .framedIPv6Prefix, cause: "stands there \(prefixes.count) times") }
        framedIPv6Prefix = prefixes.first
        framedInterfaceID = try reader.interfaceID(.framedInterfaceID)
        framedPool = try reader.text(.framedPool)
        framedIPv6Pool = try reader.text(.framedIPv6Pool)
        ipv4DNS = try reader.addresses([.alcPrimaryDNS, .alcSecondaryDNS], .ipv4)
        if ipv4DNS.isEmpty { ipv4DNS = try reader.addresses([.msPrimaryDNSServer, .msSecondaryDNSServer], .ipv4) }
        ipv6DNS = try reader.addresses([.alcIPv6PrimaryDNS, .alcIPv6SecondaryDNS], .ipv6)
    }
}

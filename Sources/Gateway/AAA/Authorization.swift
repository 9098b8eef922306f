import AddressAssignment
import Config
import ESP
import GatewayCrypto
import IKE
import ManagementAPI
import RADIUS
import Wire

/// Why a login that RADIUS accepted cannot be as it says; a sentence for the log.
struct AuthorizationRefusal: Error {
    let cause: String
    /// INTERNAL_ADDRESS_FAILURE rather than AUTHENTICATION_FAILED (features.md X-8).
    var isAboutAddress = false
}

/// What a RADIUS server said of one login, as it acts on the session (features.md RAD-5, X-3).
final class Authorization: Sendable {
    /// Where an address comes from.
    enum Address: Sendable, Equatable {
        case exact(IPAddress)
        /// Any free host part.
        case within(IPPrefix)
        case pool(PoolName)
    }

    let server: String
    /// The authenticated name: what accounting reports (features.md X-2, threats.md P17).
    let userName: [UInt8]
    let acctSessionID: String
    let accept: AccessAccept
    /// The gateway with the service, interface and template that the server named.
    let gateway: GatewayRuntime
    /// Of the families that RADIUS assigns.
    let addresses: [AddressFamily: Address]
    let terms: ChildTerms

    /// Throws where the server names what the configuration does not have.
    init(
        _ accept: AccessAccept, server: String, userName: [UInt8], acctSessionID: String, gateway: GatewayRuntime, remote: IPAddress
    ) throws(AuthorizationRefusal) {
        var settings = gateway.settings
        try Self.move(&settings, accept)
        let transforms = try Self.template(&settings, accept)
        let gateway = GatewayRuntime(settings)
        var addresses: [AddressFamily: Address] = [:]
        for family in [AddressFamily.ipv4, .ipv6] {
            addresses[family] = try Self.address(family, accept, gateway)
        }
        terms = try Self.terms(accept, transforms: transforms, gateway, remote)
        self.accept = accept
        self.server = server
        self.userName = userName
        self.acctSessionID = acctSessionID
        self.gateway = gateway
        self.addresses = addresses
    }

    /// Alc-IPsec-Serv-Id and Alc-IPsec-Interface.
    private static func move(_ gateway: inout GatewayRuntime.Settings, _ accept: AccessAccept) throws(AuthorizationRefusal) {
        guard accept.serviceID != nil || accept.interface != nil else { return }
        let service = accept.serviceID.map(Int.init) ?? gateway.serviceID
        let candidates = gateway.aaa.named.interfaces.filter { $0.serviceID == service }
        let wanted = accept.interface
        guard
            let found = wanted.map({ name in candidates.first { $0.name == name } }) ?? candidates.first(where: { $0.key == gateway.interfaceKey })
                ?? (candidates.count == 1 ? candidates.first : nil)
        else {
            let interface = wanted.map { "an interface \($0)" } ?? "exactly one interface"
            throw AuthorizationRefusal(cause: "the RADIUS server wants service \(service) with \(interface), which the configuration does not have")
        }
        if found.key != gateway.interfaceKey {
            // A pool belongs to an interface's prefixes: elsewhere it is the server's part to say which.
            gateway.pools = [:]
        }
        gateway.service = found.service
        gateway.serviceID = found.serviceID
        gateway.interface = found.device
        gateway.networkNamespace = found.networkNamespace
        gateway.interfaceKey = found.key
        gateway.prefixes = found.prefixes
        gateway.ownAddresses = found.ownAddresses
    }

    /// Alc-IPsec-Tunnel-Template-Id, and -SA-Replay-Window, which belongs there. Returns the template's transforms, if it is another.
    private static func template(_ gateway: inout GatewayRuntime.Settings, _ accept: AccessAccept) throws(AuthorizationRefusal) -> [IPsecTransform]? {
        var transforms: [IPsecTransform]?
        if let id = accept.tunnelTemplate {
            guard let template = gateway.aaa.named.templates[Int(id)] else {
                throw AuthorizationRefusal(cause: "the RADIUS server names tunnel-template \(id), which the configuration does not have")
            }
            gateway.template = template.template
            transforms = template.transforms
        }
        if let window = accept.replayWindow { gateway.template.replayWindow = window }
        return transforms
    }

    private static func terms(
        _ accept: AccessAccept, transforms: [IPsecTransform]?, _ gateway: GatewayRuntime, _ remote: IPAddress
    ) throws(AuthorizationRefusal) -> ChildTerms {
        var terms = ChildTerms()
        terms.transforms = transforms
        if accept.encryption != nil || accept.integrity != nil {
            terms.transforms = try (transforms ?? gateway.profile.childTransforms).map { base throws(AuthorizationRefusal) in
                try transform(base, accept)
            }
        }
        terms.lifetime = accept.saLifetime
        terms.keyExchange = accept.pfsGroup
        if let name = accept.filterID {
            guard let list = gateway.aaa.named.selectors[name] else {
                throw AuthorizationRefusal(cause: "the RADIUS server names the ts-list \(name) (Filter-Id), which the configuration does not have")
            }
            terms.selectors = list
        }
        terms.clientNetworks = accept.routes + accept.delegatedIPv6Prefixes
        guard terms.clientNetworks.count <= ChildTerms.mostClientNetworks else {
            throw AuthorizationRefusal(
                cause: "the RADIUS server gives \(terms.clientNetworks.count) networks behind the client, more than \(ChildTerms.mostClientNetworks)")
        }
        // A route to it would lead the client's own ESP, or ours, into the tunnel.
        if let network = terms.clientNetworks.first(where: { $0.contains(remote) || $0.contains(gateway.address) }) {
            throw AuthorizationRefusal(cause: "the RADIUS server gives it the network \(network), which holds its own outer address or the gateway's")
        }
        terms.sessionLifetime = accept.sessionTimeout
        return terms
    }

    /// Alc-IPsec-SA-Encr-Algorithm and -Auth-Algorithm in the place of the template's; what is not said is the template's.
    private static func transform(_ base: IPsecTransform, _ accept: AccessAccept) throws(AuthorizationRefusal) -> IPsecTransform {
        var transform = base
        if let encryption = accept.encryption {
            transform.encryption = [EncryptionChoice(encryption.algorithm, keyBits: encryption.keyLength ?? 0)]
            if encryption.isAEAD {
                transform.integrity = []
            } else if transform.integrity.isEmpty {
                transform.integrity = [.hmacSHA256_128]
            }
        }
        if let integrity = accept.integrity?.algorithm { transform.integrity = [integrity] }
        guard transform.encryption.allSatisfy({ $0.isAEAD }) == transform.integrity.isEmpty else {
            throw AuthorizationRefusal(cause: "the RADIUS server's ESP algorithms do not go together with those of the tunnel-template")
        }
        return transform
    }

    /// nil: RADIUS gives none of the family, or the gateway has a source that comes before it (features.md ADDR-2, ADDR-3).
    private static func address(
        _ family: AddressFamily, _ accept: AccessAccept, _ gateway: GatewayRuntime
    ) throws(AuthorizationRefusal) -> Address? {
        guard gateway.pools[family] == nil else { return nil }
        switch family {
        case .ipv4:
            if case .address(let address)? = accept.framedIPAddress { return .exact(address) }
            return try accept.framedPool.map { name throws(AuthorizationRefusal) in .pool(try pool(name, gateway)) }
        case .ipv6:
            if let address = accept.framedIPv6Address { return .exact(address) }
            if let host = accept.framedIPv6Host { return .exact(host) }
            if let prefix = accept.framedIPv6Prefix { return .within(prefix) }
            return try accept.framedIPv6Pool.map { name throws(AuthorizationRefusal) in .pool(try pool(name, gateway)) }
        }
    }

    /// Framed-Pool: `server/pool`, or the pool's name where only one server has such a pool.
    private static func pool(_ name: String, _ gateway: GatewayRuntime) throws(AuthorizationRefusal) -> PoolName {
        let found = gateway.aaa.named.pools.filter { $0.description == name || $0.pool == name }
        guard let pool = found.first, found.count == 1 else {
            throw AuthorizationRefusal(
                cause: "the RADIUS server names the pool \(name), of which the configuration has \(found.count)", isAboutAddress: true)
        }
        return pool
    }

    /// At most two of each family (features.md RAD-6); nil: the pool's.
    var dns: [IPAddress]? {
        let all = accept.ipv4DNS + accept.ipv6DNS
        return all.isEmpty ? nil : all
    }

    /// A reload leaves it as the server said.
    var setsReplayWindow: Bool { accept.replayWindow != nil || accept.tunnelTemplate != nil }

    /// For people and logs.
    var name: String { String(decoding: userName, as: UTF8.self) }
}

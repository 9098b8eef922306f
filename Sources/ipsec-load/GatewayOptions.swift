import ArgumentParser
import GatewayCrypto
import IKEMessages
import LinuxIO
import RoadWarrior
import Wire

/// What every subcommand asks about the gateway and the client.
struct GatewayOptions: ParsableArguments {
    @OptionGroup var peer: PeerOptions

    @Option(help: "Preshared key: for each side that has nothing else.")
    var psk: String?

    @Option(
        name: .customLong("cert"),
        help: "Our certificate, PEM or DER, with the intermediates behind it. With several clients `%n` is the client's number.")
    var certificate: String?

    @Option(help: "The certificate's key, PEM or DER, without passphrase; `%n` as with --cert.")
    var key: String?

    @Option(name: .customLong("ca"), help: "CAs of which the gateway's certificate must come; without it the gateway proves itself by --psk.")
    var authorities: String?

    @Option(
        help: "Sign with this alone: \(Credentials.schemes.keys.sorted().joined(separator: ", ")). Without it RFC 7427 where the gateway has it.")
    var signature: String?

    @Flag(help: "Sign with RSA-PSS rather than PKCS #1 v1.5.")
    var pss = false

    @Flag(name: .customLong("no-rfc7427"), help: "Do not say which hashes we have: the gateway then signs as RFC 7296 alone has it.")
    var noSignatureHashes = false

    @OptionGroup var eap: EAPOptions

    @Option(
        name: .customLong("id"),
        help:
            "Our identity: address, user@name, host.name, or a key id; without it --eap-user or the certificate's subject. With several clients `%n` is the client's number."
    )
    var identity: String?

    @Option(name: .customLong("remote-id"), help: "Identity that the gateway must have; without it any that knows the key.")
    var remoteIdentity: String?

    @Option(
        help: "ESP proposals, such as aes256gcm16-esn,aes128-sha256; with a key exchange method (aes256gcm16-x25519) rekeys have one of their own.")
    var esp: String?

    @Flag(
        name: .customLong("native-esp"),
        help: "ESP as IP protocol 50 where no NAT is found, instead of in UDP always; with --tun it needs CAP_NET_RAW.")
    var nativeESP = false

    @Option(name: .customLong("fragment-size"), help: "Octets of the longest IKE message that is sent in one piece; 0: no IKE fragments.")
    var fragmentSize = 1228

    @Option(name: .customLong("rekey-child"), help: "Replace the Child SA every so many seconds.")
    var childRekey: Double?

    @Option(name: .customLong("rekey-packets"), help: "Replace the Child SA after so many packets in one direction; with --tun.")
    var childRekeyPackets: UInt64?

    @Option(name: .customLong("rekey-ike"), help: "Replace the IKE SA every so many seconds.")
    var ikeRekey: Double?

    @Option(help: "Inner addresses to ask for: ipv4, ipv6 or dual.")
    var inner: InnerFamilies = .ipv4

    enum InnerFamilies: String, ExpressibleByArgument, CaseIterable {
        case ipv4, ipv6, dual

        var families: [AddressFamily] {
            switch self {
            case .ipv4: [.ipv4]
            case .ipv6: [.ipv6]
            case .dual: [.ipv4, .ipv6]
            }
        }
    }

    /// The options as the client needs them.
    struct Target {
        let families: [AddressFamily]
        let remote: Endpoint
        let natPort: UInt16
        let presharedKey: Secret<[UInt8]>
        /// One for all clients, or one for each.
        let certificates: [Credentials.Own]
        let trust: RoadWarrior.CertificateTrust?
        let eap: EAPOptions.Login?
        let announcesSignatureHashes: Bool
        let identity: String?
        let remoteIdentity: IdentificationPayload?
        let ikeProposals: [Proposal]
        let espProposals: [Proposal]
        let wantsNativeESP: Bool
        let longestMessage: Int?
        let childRekey: Duration?
        let childRekeyPackets: UInt64?
        let ikeRekey: Duration?

        /// A socket as this target needs it: bound to the address that the gateway sees where NAT_DETECTION payloads are to be true.
        func socket(packetsPerCall: Int, buffer: Int) throws(SystemError) -> ClientSocket {
            let local = wantsNativeESP ? try remote.address.ownAddressTowardIt() : IPAddress(family: remote.address.family, value: 0)
            return try ClientSocket(local: local, packetsPerCall: packetsPerCall, buffer: buffer)
        }

        /// Settings of the client with this number, whose one socket is bound to `local`. Unless native ESP is wanted, ESP goes in UDP always: the
        /// client claims a NAT.
        func settings(client number: Int, local: Endpoint) -> RoadWarrior.Settings {
            let own = certificates.isEmpty ? nil : certificates[number % certificates.count]
            let name = (identity ?? eap?.user).map { IdentificationPayload(form: $0.replacing("%n", with: String(number))) }
            var settings = RoadWarrior.Settings(
                presharedKey: presharedKey, identity: name ?? own?.subject ?? IdentificationPayload(form: ""),
                remoteIdentity: remoteIdentity, local: local, remote: remote)
            settings.certificate = own?.certificate
            settings.trust = trust
            settings.eap = eap?.peer(client: number)
            settings.allowsEAPOnly = eap?.provesGateway ?? false
            settings.announcesSignatureHashes = announcesSignatureHashes
            settings.localNATPort = local.port
            settings.remoteNATPort = natPort
            settings.natClaim = wantsNativeESP ? .truthful : .behindNAT
            settings.longestMessage = longestMessage
            settings.ikeProposals = ikeProposals
            settings.espProposals = espProposals
            settings.childRekey = childRekey
            settings.childRekeyPackets = childRekeyPackets
            settings.ikeRekey = ikeRekey
            settings.ask(for: families)
            return settings
        }
    }

    /// Reads the values, and certificates for so many clients; throws a `ValidationError` that names what is wrong.
    func target(clients: Int = 1) throws -> Target {
        let remote = try peer.endpoint()
        guard (certificate == nil) == (key == nil) else { throw ValidationError("--cert and --key belong together") }
        guard psk != "" else { throw ValidationError("--psk is empty") }
        let login = try eap.login()
        guard login == nil || certificate == nil else { throw ValidationError("--eap-user and --cert: we prove ourselves by one of them") }
        let provesUs = psk != nil || certificate != nil || login != nil
        guard provesUs, psk != nil || authorities != nil || login?.provesGateway == true else {
            throw ValidationError("--psk, or --cert with --key or --eap-user, and --ca: each side must prove itself by one of them")
        }
        guard identity != nil || certificate != nil || login != nil else { throw ValidationError("--id is missing") }
        guard fragmentSize == 0 || (256...9000).contains(fragmentSize) else { throw ValidationError("--fragment-size: 0, or 256 to 9000") }
        for (name, value) in [("--rekey-child", childRekey), ("--rekey-ike", ikeRekey)] {
            guard value.map({ $0 >= 0.1 && $0 < 1e7 }) ?? true else { throw ValidationError("\(name): 0.1 seconds or more") }
        }
        guard childRekeyPackets != 0 else { throw ValidationError("--rekey-packets: 1 or more") }
        let own = try ownCertificates(clients)
        let trust = try authorities.map { try Credentials.trust($0) }
        let ikeProposals = try peer.proposals()
        do {
            return Target(
                families: inner.families, remote: remote, natPort: peer.natPort,
                presharedKey: Secret([UInt8]((psk ?? "").utf8)), certificates: own, trust: trust, eap: login,
                announcesSignatureHashes: !noSignatureHashes, identity: identity,
                remoteIdentity: remoteIdentity.map { IdentificationPayload(form: $0) },
                ikeProposals: ikeProposals,
                espProposals: try esp.map { text throws(ProposalText.Fault) in try ProposalText.esp(text) } ?? ProposalText.espDefault,
                wantsNativeESP: nativeESP, longestMessage: fragmentSize == 0 ? nil : fragmentSize,
                childRekey: childRekey.map { .milliseconds(Int64($0 * 1000)) }, childRekeyPackets: childRekeyPackets,
                ikeRekey: ikeRekey.map { .milliseconds(Int64($0 * 1000)) })
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private func ownCertificates(_ clients: Int) throws -> [Credentials.Own] {
        guard let certificate, let key else { return [] }
        var scheme: SignatureScheme?
        if let signature {
            guard let known = Credentials.schemes[signature] else { throw ValidationError("--signature: \"\(signature)\" is not known") }
            scheme = known
        }
        let count = certificate.contains("%n") ? clients : 1
        return try (0..<count).map { number in
            try Credentials.own(
                certificate: certificate.replacing("%n", with: String(number)), key: key.replacing("%n", with: String(number)),
                prefersPSS: pss, scheme: scheme)
        }
    }
}

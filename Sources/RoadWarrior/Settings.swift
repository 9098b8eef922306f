package import GatewayCrypto
package import IKEMessages
package import Wire

extension RoadWarrior {
    /// What one client wants, knows and claims.
    package struct Settings: Sendable {
        /// The shared key, RFC 7296 section 2.15: for each side that has no certificate.
        package var presharedKey: Secret<[UInt8]>
        /// What we prove ourselves by instead of the shared key.
        package var certificate: Certificate?
        /// By which the gateway has to prove itself instead of the shared key.
        package var trust: CertificateTrust?
        /// We prove ourselves by EAP instead, RFC 7296 section 2.16; the gateway does by the shared key or by its certificate, before EAP begins.
        package var eap: (any EAPMethod)?
        /// EAP_ONLY_AUTHENTICATION (RFC 5998): the gateway may leave its own proof to EAP. For methods alone that prove both sides.
        package var allowsEAPOnly = false
        /// Whether our IKE_SA_INIT carries SIGNATURE_HASH_ALGORITHMS (RFC 7427) where there are certificates; without it the gateway has methods 1 and 9 to 11 alone.
        package var announcesSignatureHashes = true
        /// Whether our IKE_SA_INIT carries IKE_SA_INIT_FULL_TRANSCRIPT_AUTH; a gateway that does too signs both messages, and so do we.
        package var announcesFullTranscript = true
        /// IDi.
        package var identity: IdentificationPayload
        /// IDr that is asked for and demanded of the responder; nil accepts any that knows the key.
        package var remoteIdentity: IdentificationPayload?
        /// IKE proposals in order; the first key exchange method of the first one is the first guess.
        package var ikeProposals: [Proposal]
        /// ESP proposals in order; their SPIs are filled in, and their key exchange methods are for rekeys alone.
        package var espProposals: [Proposal]
        /// Attributes of the CFG_REQUEST; nil sends none.
        package var configuration: [ConfigurationAttribute]?
        /// TSi and TSr that are asked for.
        package var localSelectors: [TrafficSelector]
        package var remoteSelectors: [TrafficSelector]
        package var entropy: any Entropy

        /// Our end for IKE_SA_INIT; its port is 500 where nothing else is said.
        package var local: Endpoint
        /// The gateway's end for IKE_SA_INIT.
        package var remote: Endpoint
        /// The ports from and to which we go on once a NAT was detected, RFC 7296 section 2.23.
        package var localNATPort: UInt16 = 4500
        package var remoteNATPort: UInt16 = 4500
        package var natClaim: NATClaim = .truthful

        /// Whether the first IKE_AUTH request carries INITIAL_CONTACT.
        package var initialContact = false
        /// Further notifications of the IKE_SA_INIT and of the IKE_AUTH request.
        package var initNotifies: [NotifyPayload] = []
        package var authNotifies: [NotifyPayload] = []

        /// Octets of the longest protected IKE message that is sent in one piece; nil does not know fragments (RFC 7383).
        package var longestMessage: Int?

        /// When to replace the Child SA and the IKE SA; nil leaves that to the gateway.
        package var childRekey: Duration?
        package var ikeRekey: Duration?
        /// Packets sent on a Child SA after which it is replaced.
        package var childRekeyPackets: UInt64?
        /// Whether the gateway's rekeys are answered with NO_ADDITIONAL_SAS, as by clients that know their own alone.
        package var declinesRekeys = false
        /// When to ask again after TEMPORARY_FAILURE, RFC 7296 section 2.25.
        package var rekeyRetry: Duration = .seconds(5)

        package var retransmission = Retransmission()
        /// Ask whether the gateway lives after this long without an authenticated message or packet; nil never asks.
        package var liveness: Duration?
        /// An octet 0xFF to the gateway after this long without sending, while a NAT is before us (RFC 3948 section 2.3).
        package var natKeepalive: Duration? = .seconds(20)
        /// How long a proper IKE_SA_INIT response may still come after one that refuses: the refusal is unauthenticated (RFC 7296 section 2.21.1).
        package var patience: Duration = .milliseconds(500)
        /// Packets behind the newest that are still accepted, 32 to 1024.
        package var replayWindow = 128
        /// Is told the keys of each Child SA.
        package var childKeyLog: ChildKeyLog?
        /// Gives out our SPIs of Child SAs where a datapath of its own order of them carries the packets; without an answer one is drawn.
        package var childSPI: (@Sendable () -> UInt32?)?

        package init(
            presharedKey: Secret<[UInt8]>, identity: IdentificationPayload, remoteIdentity: IdentificationPayload? = nil,
            local: Endpoint, remote: Endpoint, entropy: any Entropy = SystemEntropy()
        ) {
            self.presharedKey = presharedKey
            self.identity = identity
            self.remoteIdentity = remoteIdentity
            self.local = local
            self.remote = remote
            self.entropy = entropy
            ikeProposals = ProposalText.ikeDefault
            espProposals = ProposalText.espDefault
            localSelectors = []
            remoteSelectors = []
            ask(for: [.ipv4])
        }

        /// Asks for an address and a DNS server of each family, and for everything of those families as traffic selectors.
        package mutating func ask(for families: [AddressFamily]) {
            configuration = families.flatMap { family -> [ConfigurationAttribute] in
                let types: [ConfigurationAttributeType] =
                    family == .ipv4 ? [.internalIP4Address, .internalIP4DNS] : [.internalIP6Address, .internalIP6DNS]
                return types.map { ConfigurationAttribute(type: $0, value: []) }
            }
            localSelectors = families.map { .all($0) }
            remoteSelectors = localSelectors
        }
    }

    /// What the NAT_DETECTION payloads say of our side.
    package enum NATClaim: Sendable, Equatable {
        /// The addresses as they are.
        case truthful
        /// A source hash that fits no address, so that both sides encapsulate in UDP.
        case behindNAT
        /// No NAT_DETECTION payloads at all.
        case silent
    }

    /// Retransmission of requests, RFC 7296 section 2.1; the first wait, then ever longer ones.
    package struct Retransmission: Sendable, Equatable {
        package var first: Duration = .seconds(1)
        package var factor = 2
        package var longest: Duration = .seconds(16)
        /// Sendings in all, the first one included.
        package var attempts = 6

        package init() {}

        package init(first: Duration, factor: Int = 2, longest: Duration = .seconds(16), attempts: Int = 6) {
            self.first = first
            self.factor = factor
            self.longest = longest
            self.attempts = attempts
        }

        /// How long to wait after the sending with this number, counted from 1.
        func wait(after sending: Int) -> Duration {
            var wait = first
            for _ in 1..<max(2, sending) where sending > 1 && wait < longest { wait = wait * factor }
            return min(wait, longest)
        }
    }
}

extension IdentificationPayload {
    /// An identity by the form of its text: an address, `@` within RFC822_ADDR, dots FQDN, else KEY_ID.
    package init(form text: String) {
        let octets = [UInt8](text.utf8)
        if let address = IPAddress(text) {
            self.init(type: address.family == .ipv4 ? .ipv4Address : .ipv6Address, data: address.octets)
        } else if octets.contains(UInt8(ascii: "@")) {
            self.init(type: .rfc822Address, data: octets)
        } else if octets.contains(UInt8(ascii: ".")) {
            self.init(type: .fqdn, data: octets)
        } else {
            self.init(type: .keyID, data: octets)
        }
    }
}

package import GatewayCrypto
package import IKEMessages
package import Wire

extension RoadWarrior {
    /// What the driver has to do or may want to know, in order.
    package enum Output: Equatable, Sendable {
        case send(Datagram)
        /// Both sides are authenticated.
        case established(Established)
        case childEstablished(ChildEstablished)
        /// Another Child SA in the place of the one with this inbound SPI.
        case childRekeyed(from: UInt32, to: ChildEstablished, byUs: Bool)
        /// Another IKE SA, which has all Child SAs of the old one.
        case ikeRekeyed(initiatorSPI: IKESPI, responderSPI: IKESPI, byUs: Bool)
        /// The Child SA is gone without a successor, the IKE SA stands; its inbound SPI.
        case childClosed(UInt32)
        /// An inner packet that came through the tunnel and fits the selectors.
        case delivered([UInt8])
        /// A notification of an error, where the exchange that it answers is known.
        case refused(Refusal)
        /// The answer to a request made with `request`.
        case response(ExchangeType, messageID: UInt32, [Payload])
        /// The end; nothing comes after it.
        case closed(Closure)
    }

    /// One datagram to send.
    package struct Datagram: Equatable, Sendable {
        package enum Content: Equatable, Sendable { case ike, esp, keepalive }

        package let content: Content
        package let local: Endpoint
        package let remote: Endpoint
        /// Whether IKE carries the non-ESP marker, and ESP goes in UDP instead of as IP protocol 50.
        package let encapsulated: Bool
        /// The message or packet, without the marker.
        package let octets: [UInt8]

        package init(content: Content, local: Endpoint, remote: Endpoint, encapsulated: Bool, octets: [UInt8]) {
            self.content = content
            self.local = local
            self.remote = remote
            self.encapsulated = encapsulated
            self.octets = octets
        }

        /// The UDP payload (RFC 3948 section 2), or the IP payload of native ESP.
        package var payload: [UInt8] {
            content == .ike && encapsulated ? [0, 0, 0, 0] + octets : octets
        }
    }

    /// An IKE SA both of whose sides are authenticated.
    package struct Established: Equatable, Sendable {
        package let initiatorSPI: IKESPI
        package let responderSPI: IKESPI
        package let responderIdentity: IdentificationPayload
        package let suite: IKESuite
        /// INTERNAL_IP4_ADDRESS and INTERNAL_IP6_ADDRESS of the CFG_REPLY.
        package let innerAddresses: [IPAddress]
        package let dns: [IPAddress]
        /// INTERNAL_IP4_SUBNET, INTERNAL_IP6_SUBNET.
        package let subnets: [IPPrefix]
        /// The whole reply as it came.
        package let attributes: [ConfigurationAttribute]
        /// Notifications beside the AUTH payload.
        package let notifies: [NotifyPayload]
        /// Whether IKE and ESP go to the NAT port, in UDP.
        package let encapsulated: Bool
    }

    package struct ChildEstablished: Equatable, Sendable {
        /// Our SPI, on packets that we receive.
        package let inboundSPI: UInt32
        /// The gateway's SPI, on packets that we send.
        package let outboundSPI: UInt32
        package let protection: ProtectionSuite
        package let extendedSequenceNumbers: Bool
        /// TSi and TSr as the gateway narrowed them.
        package let localSelectors: [TrafficSelector]
        package let remoteSelectors: [TrafficSelector]
    }

    package struct Refusal: Equatable, Sendable {
        package let exchange: ExchangeType
        package let notify: NotifyPayload
        /// Whether it came inside the protected channel.
        package let authenticated: Bool

        package init(exchange: ExchangeType, notify: NotifyPayload, authenticated: Bool) {
            self.exchange = exchange
            self.notify = notify
            self.authenticated = authenticated
        }
    }

    /// Why an IKE SA ended.
    package enum Closure: Equatable, Sendable, CustomStringConvertible {
        /// We asked; `answered` is false when the gateway never confirmed.
        case deletedByUs(answered: Bool)
        case deletedByPeer
        /// Closed before there was an IKE SA to delete.
        case abandoned
        case refused(Refusal)
        case noAnswer(ExchangeType)
        case responderNotAuthenticated(String)
        /// EAP-Failure.
        case eapFailed
        /// The gateway did what RFC 7296 does not allow.
        case violation(String)
        /// Our own library failed.
        case cryptography(CryptoError)

        package var description: String {
            switch self {
            case .deletedByUs(answered: true): "deleted by us"
            case .deletedByUs(answered: false): "deleted by us, without an answer"
            case .deletedByPeer: "deleted by the gateway"
            case .abandoned: "given up before the IKE SA stood"
            case .refused(let refusal):
                "the gateway refused the \(Words.name(refusal.exchange)) exchange: \(refusal.notify.type)"
            case .noAnswer(let exchange): "no answer to the \(Words.name(exchange)) request"
            case .responderNotAuthenticated(let why): "the gateway did not prove who it is: \(why)"
            case .eapFailed: "the gateway refused the login: EAP-Failure"
            case .violation(let what): "the gateway broke the protocol: \(what)"
            case .cryptography(let error): "cryptography failed: \(error)"
            }
        }

        /// The same cause whatever peer and time, to count by.
        package var kind: String {
            switch self {
            case .deletedByUs: "deleted by us"
            case .deletedByPeer: "deleted by the gateway"
            case .abandoned: "abandoned"
            case .refused(let refusal): "refused: \(refusal.notify.type)"
            case .noAnswer(let exchange): "no answer to \(Words.name(exchange))"
            case .responderNotAuthenticated: "gateway not authenticated"
            case .eapFailed: "refused: EAP-Failure"
            case .violation(let what): "protocol violation: \(what)"
            case .cryptography: "cryptography failed"
            }
        }
    }

    /// Datagrams and packets that had no effect, by reason.
    package struct Drops: Equatable, Sendable {
        /// Wrong source address, unknown SPI, wrong direction flags.
        package var notOurs: UInt64 = 0
        package var malformed: UInt64 = 0
        /// ICV wrong, of IKE or ESP.
        package var unauthentic: UInt64 = 0
        /// Outside the message window, or a response nobody waits for.
        package var outsideWindow: UInt64 = 0
        /// An unprotected message where only protected ones count.
        package var unprotected: UInt64 = 0
        package var replayed: UInt64 = 0
        package var selectors: UInt64 = 0

        package var total: UInt64 { notOurs + malformed + unauthentic + outsideWindow + unprotected + replayed + selectors }
    }
}

/// Names of registry values in plain words.
package enum Words {
    package static func name(_ exchange: ExchangeType) -> String {
        switch exchange {
        case .ikeSAInit: "IKE_SA_INIT"
        case .ikeAuth: "IKE_AUTH"
        case .createChildSA: "CREATE_CHILD_SA"
        case .informational: "INFORMATIONAL"
        default: "exchange \(exchange.rawValue)"
        }
    }
}

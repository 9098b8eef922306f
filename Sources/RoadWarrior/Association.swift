import GatewayCrypto
import IKEMessages
import Wire

/// One IKE SA of the client. A rekey makes another, and for a while there are two or three of them (RFC 7296 section 2.8.2).
final class Association {
    /// Whether we sent the first message of the exchange that made it: what the Initiator flag says, and whose keys are whose.
    let isInitiator: Bool
    var initiatorSPI: IKESPI
    var responderSPI: IKESPI
    var keys: IKEKeys?
    var protection: Protection?
    var window = Window()
    var fragments: CollectedFragments?
    /// When the request under way is sent again.
    var retransmission: Instant?
    /// We have asked to delete it.
    var isClosing = false

    /// The one that IKE_SA_INIT is going to make.
    init() {
        isInitiator = true
        initiatorSPI = 0
        responderSPI = 0
    }

    init(isInitiator: Bool, initiatorSPI: IKESPI, responderSPI: IKESPI, keys: IKEKeys) throws(CryptoError) {
        self.isInitiator = isInitiator
        self.initiatorSPI = initiatorSPI
        self.responderSPI = responderSPI
        self.keys = keys
        protection = try Protection(keys, isInitiator: isInitiator)
    }

    /// The header of a message of ours.
    func header(_ exchange: ExchangeType, id: UInt32, isResponse: Bool = false) -> IKEHeader {
        var flags: IKEHeader.Flags = isInitiator ? [.initiator] : []
        if isResponse { flags.insert(.response) }
        return IKEHeader(initiatorSPI: initiatorSPI, responderSPI: responderSPI, exchange: exchange, flags: flags, messageID: id)
    }

    /// Whether a message with this header may be the gateway's within this IKE SA.
    func isAddressed(by header: IKEHeader) -> Bool {
        header.initiatorSPI == initiatorSPI && header.responderSPI == responderSPI && header.isFromInitiator != isInitiator
    }
}

/// A key exchange under way; a class, for what cannot be copied cannot be kept in every place.
final class KeyBox {
    let key: KeyExchange

    init(_ method: KeyExchangeMethod, entropy: any Entropy) throws(CryptoError) {
        key = try KeyExchange(method, entropy: entropy)
    }

    var payload: KeyExchangePayload { KeyExchangePayload(method: key.method, data: key.publicValue) }
}

/// The nonces of two exchanges that crossed decide which of them made the redundant SA, RFC 7296 section 2.8.1.
struct Nonces {
    let lowest: [UInt8]

    init(_ initiator: [UInt8], _ responder: [UInt8]) {
        lowest = initiator.lexicographicallyPrecedes(responder) ? initiator : responder
    }

    /// The lowest of all four is among these: what they made is redundant, and its initiator deletes it.
    func lose(to other: Nonces) -> Bool { lowest.lexicographicallyPrecedes(other.lowest) }
}

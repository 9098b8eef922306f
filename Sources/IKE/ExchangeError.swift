package import IKEMessages
package import Wire

/// What the peer did that ends an exchange, and with it what we answer.
package enum ExchangeError: Error, Equatable, Sendable {
    case invalidSyntax
    case unsupportedCriticalPayload(UInt8)
    case noProposalChosen
    case invalidKeyExchange(preferred: KeyExchangeMethod)
    case authenticationFailed
    case internalAddressFailure
    case failedCPRequired
    case tsUnacceptable
    case noAdditionalSAs
    case childSANotFound(spi: [UInt8])
    case temporaryFailure
    /// RFC 9611: as many Child SAs with these selectors as there may be.
    case tsMaxQueue

    init(_ error: MessageError) {
        switch error {
        case .unsupportedCriticalPayload(let type): self = .unsupportedCriticalPayload(type)
        case .malformedHeader, .unsupportedMajorVersion, .invalidSyntax: self = .invalidSyntax
        }
    }

    /// The notification that reports this error, RFC 7296 section 3.10.1. Why authentication failed stays in the log.
    package var notify: NotifyPayload {
        switch self {
        case .invalidSyntax: return NotifyPayload(.invalidSyntax)
        case .unsupportedCriticalPayload(let type): return NotifyPayload(.unsupportedCriticalPayload, data: [type])
        case .noProposalChosen: return NotifyPayload(.noProposalChosen)
        case .invalidKeyExchange(let preferred):
            var data: [UInt8] = []
            data.append(bigEndian: preferred.rawValue)
            return NotifyPayload(.invalidKEPayload, data: data)
        case .authenticationFailed: return NotifyPayload(.authenticationFailed)
        case .internalAddressFailure: return NotifyPayload(.internalAddressFailure)
        case .failedCPRequired: return NotifyPayload(.failedCPRequired)
        case .tsUnacceptable: return NotifyPayload(.tsUnacceptable)
        case .noAdditionalSAs: return NotifyPayload(.noAdditionalSAs)
        case .childSANotFound(let spi):
            var notify = NotifyPayload(.childSANotFound)
            notify.protocolID = SecurityProtocol.esp.rawValue
            notify.spi = spi
            return notify
        case .temporaryFailure: return NotifyPayload(.temporaryFailure)
        case .tsMaxQueue: return NotifyPayload(.tsMaxQueue)
        }
    }

    /// Whether the IKE SA dies with this error: RFC 7296 section 2.21.2 in IKE_AUTH, section 2.21.3 once established.
    package func endsIKESA(in exchange: ExchangeType) -> Bool {
        switch self {
        case .invalidSyntax, .authenticationFailed: return true
        case .unsupportedCriticalPayload: return exchange == .ikeAuth
        case .noProposalChosen, .invalidKeyExchange, .internalAddressFailure, .failedCPRequired, .tsUnacceptable, .noAdditionalSAs,
            .childSANotFound, .temporaryFailure, .tsMaxQueue:
            return false
        }
    }
}

/// Why a message was dropped without an answer; one counter each.
package enum MessageDrop: String, CaseIterable, Hashable, Sendable {
    case malformed = "malformed"
    case unauthentic = "unauthentic"
    case wrongDirection = "wrong-direction"
    case outsideWindow = "outside-window"
    case unexpectedExchange = "unexpected-exchange"
    case notEncrypted = "not-encrypted"
    case unsolicitedResponse = "unsolicited-response"
    case stillWorking = "still-working"
    case closed = "closed"
    case keyExchangeFailed = "key-exchange-failed"
    /// A fragment where none was agreed on, of another cut than the one being put together, or of another message.
    case fragment = "fragment-refused"
    case fragmentRepeated = "fragment-repeated"
    case fragmentLimit = "fragment-limit"
    case reassemblyTimeout = "fragments-timed-out"
    case rateLimited = "rate-limited"
}

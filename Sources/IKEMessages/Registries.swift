import Wire

// Numbers of the IANA registry "IKEv2 Parameters". An unknown number is a value, not an error; a name is for logs.

/// An SPI of an IKE SA.
package typealias IKESPI = UInt64

package struct ExchangeType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let ikeSAInit = Self(rawValue: 34)
    package static let ikeAuth = Self(rawValue: 35)
    package static let createChildSA = Self(rawValue: 36)
    package static let informational = Self(rawValue: 37)
    package static let ikeSessionResume = Self(rawValue: 38)
    package static let ikeIntermediate = Self(rawValue: 43)
    package static let ikeFollowupKE = Self(rawValue: 44)
}

package struct PayloadType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let none = Self(rawValue: 0)
    package static let securityAssociation = Self(rawValue: 33)
    package static let keyExchange = Self(rawValue: 34)
    package static let initiatorIdentification = Self(rawValue: 35)
    package static let responderIdentification = Self(rawValue: 36)
    package static let certificate = Self(rawValue: 37)
    package static let certificateRequest = Self(rawValue: 38)
    package static let authentication = Self(rawValue: 39)
    package static let nonce = Self(rawValue: 40)
    package static let notify = Self(rawValue: 41)
    package static let delete = Self(rawValue: 42)
    package static let vendorID = Self(rawValue: 43)
    package static let initiatorTrafficSelectors = Self(rawValue: 44)
    package static let responderTrafficSelectors = Self(rawValue: 45)
    package static let encrypted = Self(rawValue: 46)
    package static let configuration = Self(rawValue: 47)
    package static let eap = Self(rawValue: 48)
    package static let encryptedFragment = Self(rawValue: 53)
}

package struct SecurityProtocol: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let none = Self(rawValue: 0)
    package static let ike = Self(rawValue: 1)
    package static let ah = Self(rawValue: 2)
    package static let esp = Self(rawValue: 3)
}

package struct TransformType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let encryption = Self(rawValue: 1)
    package static let pseudorandomFunction = Self(rawValue: 2)
    package static let integrity = Self(rawValue: 3)
    package static let keyExchange = Self(rawValue: 4)
    package static let sequenceNumbers = Self(rawValue: 5)
}

package struct IDType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let ipv4Address = Self(rawValue: 1)
    package static let fqdn = Self(rawValue: 2)
    package static let rfc822Address = Self(rawValue: 3)
    package static let ipv6Address = Self(rawValue: 5)
    package static let derASN1DN = Self(rawValue: 9)
    package static let derASN1GN = Self(rawValue: 10)
    package static let keyID = Self(rawValue: 11)
    package static let null = Self(rawValue: 13)
}

package struct AuthenticationMethod: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let rsaSignature = Self(rawValue: 1)
    package static let sharedKey = Self(rawValue: 2)
    package static let dssSignature = Self(rawValue: 3)
    package static let ecdsaP256 = Self(rawValue: 9)
    package static let ecdsaP384 = Self(rawValue: 10)
    package static let ecdsaP521 = Self(rawValue: 11)
    package static let null = Self(rawValue: 13)
    package static let digitalSignature = Self(rawValue: 14)
}

package struct CertificateEncoding: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let x509Signature = Self(rawValue: 4)
    package static let hashAndURL = Self(rawValue: 12)
}

package struct ConfigurationType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let request = Self(rawValue: 1)
    package static let reply = Self(rawValue: 2)
    package static let set = Self(rawValue: 3)
    package static let acknowledge = Self(rawValue: 4)
}

package struct ConfigurationAttributeType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue & 0x7fff }

    package static let internalIP4Address = Self(rawValue: 1)
    package static let internalIP4Netmask = Self(rawValue: 2)
    package static let internalIP4DNS = Self(rawValue: 3)
    package static let internalIP4NBNS = Self(rawValue: 4)
    package static let internalIP4DHCP = Self(rawValue: 6)
    package static let applicationVersion = Self(rawValue: 7)
    package static let internalIP6Address = Self(rawValue: 8)
    package static let internalIP6DNS = Self(rawValue: 10)
    package static let internalIP6DHCP = Self(rawValue: 12)
    package static let internalIP4Subnet = Self(rawValue: 13)
    package static let supportedAttributes = Self(rawValue: 14)
    package static let internalIP6Subnet = Self(rawValue: 15)
    package static let internalDNSDomain = Self(rawValue: 25)
}

package struct NotifyType: RawRepresentable, Hashable, Sendable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Types below 16384 report errors (RFC 7296 section 3.10.1).
    package var isError: Bool { rawValue < 16384 }

    package static let unsupportedCriticalPayload = Self(rawValue: 1)
    package static let invalidIKESPI = Self(rawValue: 4)
    package static let invalidMajorVersion = Self(rawValue: 5)
    package static let invalidSyntax = Self(rawValue: 7)
    package static let invalidMessageID = Self(rawValue: 9)
    package static let invalidSPI = Self(rawValue: 11)
    package static let noProposalChosen = Self(rawValue: 14)
    package static let invalidKEPayload = Self(rawValue: 17)
    package static let authenticationFailed = Self(rawValue: 24)
    package static let singlePairRequired = Self(rawValue: 34)
    package static let noAdditionalSAs = Self(rawValue: 35)
    package static let internalAddressFailure = Self(rawValue: 36)
    package static let failedCPRequired = Self(rawValue: 37)
    package static let tsUnacceptable = Self(rawValue: 38)
    package static let invalidSelectors = Self(rawValue: 39)
    package static let unacceptableAddresses = Self(rawValue: 40)
    package static let unexpectedNATDetected = Self(rawValue: 41)
    package static let temporaryFailure = Self(rawValue: 43)
    package static let childSANotFound = Self(rawValue: 44)
    package static let tsMaxQueue = Self(rawValue: 48)

    package static let initialContact = Self(rawValue: 16384)
    package static let setWindowSize = Self(rawValue: 16385)
    package static let additionalTSPossible = Self(rawValue: 16386)
    package static let ipcompSupported = Self(rawValue: 16387)
    package static let natDetectionSourceIP = Self(rawValue: 16388)
    package static let natDetectionDestinationIP = Self(rawValue: 16389)
    package static let cookie = Self(rawValue: 16390)
    package static let useTransportMode = Self(rawValue: 16391)
    package static let httpCertLookupSupported = Self(rawValue: 16392)
    package static let rekeySA = Self(rawValue: 16393)
    package static let espTFCPaddingNotSupported = Self(rawValue: 16394)
    package static let nonFirstFragmentsAlso = Self(rawValue: 16395)
    package static let mobikeSupported = Self(rawValue: 16396)
    package static let updateSAAddresses = Self(rawValue: 16400)
    package static let cookie2 = Self(rawValue: 16401)
    package static let authLifetime = Self(rawValue: 16403)
    package static let multipleAuthSupported = Self(rawValue: 16404)
    package static let redirectSupported = Self(rawValue: 16406)
    package static let eapOnlyAuthentication = Self(rawValue: 16417)
    package static let childlessSupported = Self(rawValue: 16418)
    package static let fragmentationSupported = Self(rawValue: 16430)
    package static let signatureHashAlgorithms = Self(rawValue: 16431)
    package static let usePPK = Self(rawValue: 16435)
    package static let intermediateExchangeSupported = Self(rawValue: 16438)
    /// IKE_SA_INIT_FULL_TRANSCRIPT_AUTH, draft-ietf-ipsecme-ikev2-downgrade-prevention.
    package static let saResourceInfo = Self(rawValue: 16444)
    package static let fullTranscriptAuthentication = Self(rawValue: 16447)
}

extension NotifyType: CustomStringConvertible {
    private static let names: [UInt16: String] = [
        1: "UNSUPPORTED_CRITICAL_PAYLOAD", 4: "INVALID_IKE_SPI", 5: "INVALID_MAJOR_VERSION", 7: "INVALID_SYNTAX", 9: "INVALID_MESSAGE_ID",
        11: "INVALID_SPI", 14: "NO_PROPOSAL_CHOSEN", 17: "INVALID_KE_PAYLOAD", 24: "AUTHENTICATION_FAILED", 34: "SINGLE_PAIR_REQUIRED",
        35: "NO_ADDITIONAL_SAS", 36: "INTERNAL_ADDRESS_FAILURE", 37: "FAILED_CP_REQUIRED", 38: "TS_UNACCEPTABLE", 39: "INVALID_SELECTORS",
        40: "UNACCEPTABLE_ADDRESSES", 41: "UNEXPECTED_NAT_DETECTED", 43: "TEMPORARY_FAILURE", 44: "CHILD_SA_NOT_FOUND",
        16384: "INITIAL_CONTACT", 16388: "NAT_DETECTION_SOURCE_IP", 16389: "NAT_DETECTION_DESTINATION_IP", 16390: "COOKIE",
        16393: "REKEY_SA", 16396: "MOBIKE_SUPPORTED", 16430: "IKEV2_FRAGMENTATION_SUPPORTED", 16431: "SIGNATURE_HASH_ALGORITHMS",
        16447: "IKE_SA_INIT_FULL_TRANSCRIPT_AUTH",
    ]

    /// The RFC's name, or the number.
    package var description: String { Self.names[rawValue] ?? "notify \(rawValue)" }
}

import GatewayCrypto
import IKEMessages
import Wire

/// What both sides sign, RFC 7296 section 2.15: the first message as it was sent, the other side's nonce, and the MAC of the own identity.
package struct SignedOctets: Sendable {
    /// The whole IKE_SA_INIT request, header and cookie included, without a non-ESP marker (threats.md P12).
    let request: [UInt8]
    /// The whole IKE_SA_INIT response.
    let response: [UInt8]
    let initiatorNonce: [UInt8]
    let responderNonce: [UInt8]
    /// Both sides announced IKE_SA_INIT_FULL_TRANSCRIPT_AUTH.
    var isFullTranscript = false

    /// RealMessage1 | NonceRData | MACedIDForI; of a full transcript ZeroPrefix | RealMessage2 | RealMessage1 | NonceRData | MACedIDForI.
    func initiator(_ identity: IdentificationPayload, keys: borrowing SAKeys) throws(CryptoError) -> [UInt8] {
        (isFullTranscript ? FullTranscript.octets(received: response, sent: request) : request) + responderNonce
            + (try keys.prf(key: keys.pi, identity.body)).exposed()
    }

    /// RealMessage2 | NonceIData | MACedIDForR; of a full transcript ZeroPrefix | RealMessage1 | RealMessage2 | NonceIData | MACedIDForR.
    func responder(_ identity: IdentificationPayload, keys: borrowing SAKeys) throws(CryptoError) -> [UInt8] {
        (isFullTranscript ? FullTranscript.octets(received: request, sent: response) : response) + initiatorNonce
            + (try keys.prf(key: keys.pr, identity.body)).exposed()
    }
}

/// AUTH by shared key: prf(prf(Shared Secret, "Key Pad for IKEv2"), SignedOctets), RFC 7296 section 2.15.
enum SharedKey {
    private static let pad = Array("Key Pad for IKEv2".utf8)

    static func authentication(over octets: [UInt8], sharedKey: Secret<[UInt8]>, prf: PRF) throws(CryptoError) -> SecretOctets {
        try authentication(over: octets, secret: SecretOctets(copying: sharedKey.revealed()), prf: prf)
    }

    /// The same with what EAP made in the place of the shared key: the MSK, or SK_p of a method without keys (section 2.16).
    static func authentication(over octets: [UInt8], secret: borrowing SecretOctets, prf: PRF) throws(CryptoError) -> SecretOctets {
        let padded = try prf(key: secret, pad)
        return try prf(key: padded, octets)
    }
}

import GatewayCrypto
package import IKEMessages
import Wire

/// What both sides sign, RFC 7296 section 2.15: the first message as it was sent, the other side's nonce, and the MAC of the own identity.
package struct SignedOctets: Sendable {
    /// The whole IKE_SA_INIT request, header and cookie included, without a non-ESP marker (threats.md P12).
    let request: [UInt8]
    /// The whole IKE_SA_INIT response.
    let response: [UInt8]
    let initiatorNonce: [UInt8]
    let responderNonce: [UInt8]

    /// RealMessage1 | NonceRData | MACedIDForI.
    func initiator(_ identity: IdentificationPayload, keys: borrowing SAKeys) throws(CryptoError) -> [UInt8] {
        request + responderNonce + (try keys.prf(key: keys.pi, identity.body)).exposed()
    }

    /// RealMessage2 | NonceIData | MACedIDForR.
    func responder(_ identity: IdentificationPayload, keys: borrowing SAKeys) throws(CryptoError) -> [UInt8] {
        response + initiatorNonce + (try keys.prf(key: keys.pr, identity.body)).exposed()
    }
}

/// Proof that a peer's AUTH value was verified; an established IKE SA can be built from nothing else (threats.md C6, invariant I1).
package struct VerifiedPeer: Sendable {
    package let identity: IdentificationPayload
    package let method: AuthenticationMethod

    private init(identity: IdentificationPayload, method: AuthenticationMethod) {
        self.identity = identity
        self.method = method
    }

    /// Verifies a shared-key AUTH value in constant time; nil when it is wrong. RFC 7296 section 2.15.
    static func verifying(
        _ authentication: AuthenticationPayload, by identity: IdentificationPayload, sharedKey: Secret<[UInt8]>,
        signed: SignedOctets, keys: borrowing SAKeys
    ) -> VerifiedPeer? {
        guard authentication.method == .sharedKey,
            let octets = try? signed.initiator(identity, keys: keys),
            let expected = try? SharedKey.authentication(over: octets, sharedKey: sharedKey, prf: keys.prf),
            expected.isEqual(to: authentication.data)
        else { return nil }
        return VerifiedPeer(identity: identity, method: .sharedKey)
    }
}

/// AUTH by shared key: prf(prf(Shared Secret, "Key Pad for IKEv2"), SignedOctets), RFC 7296 section 2.15.
enum SharedKey {
    private static let pad = Array("Key Pad for IKEv2".utf8)

    static func authentication(over octets: [UInt8], sharedKey: Secret<[UInt8]>, prf: PRF) throws(CryptoError) -> SecretOctets {
        let secret = SecretOctets(copying: sharedKey.revealed())
        let padded = try prf(key: secret, pad)
        return try prf(key: padded, octets)
    }
}

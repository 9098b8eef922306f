import GatewayCrypto
package import IKEMessages
import Wire

/// Proof that a peer's AUTH value was verified; an established IKE SA can be built from nothing else (threats.md C6, invariant I1).
package struct VerifiedPeer: Sendable {
    package let identity: IdentificationPayload
    package let method: AuthenticationMethod
    package let proof: ProofKind
    /// What the client called itself in EAP; its rights follow from that and not from `identity` (threats.md P17).
    package let eapIdentity: [UInt8]?

    private init(identity: IdentificationPayload, method: AuthenticationMethod, proof: ProofKind, eapIdentity: [UInt8]? = nil) {
        self.identity = identity
        self.method = method
        self.proof = proof
        self.eapIdentity = eapIdentity
    }

    /// Verifies the AUTH value of a request by what its sender must prove itself by, RFC 7296 section 2.15. `acceptsSHA1`: of a client that
    /// sent no SIGNATURE_HASH_ALGORITHMS (features.md X-7).
    static func verifying(
        _ request: IKEAuthRequest, by proof: PeerProof, signed: SignedOctets, keys: borrowing SAKeys, acceptsSHA1: Bool
    ) throws(ProofFailure) -> VerifiedPeer {
        guard let authentication = request.authentication else { throw .absent }
        guard let octets = try? signed.initiator(request.identity, keys: keys) else { throw .library }
        switch proof {
        case .sharedKey(let key):
            let secret = SecretOctets(copying: key.revealed())
            try verify(authentication, over: octets, secret: secret, prf: keys.prf, orThrow: .sharedKeysDiffer)
            return VerifiedPeer(identity: request.identity, method: authentication.method, proof: .sharedKey)
        case .certificate(let key):
            try verify(authentication, over: octets, key: key, acceptsSHA1: acceptsSHA1)
            return VerifiedPeer(identity: request.identity, method: authentication.method, proof: .certificate)
        case .eap: throw .wrongMethod
        }
    }

    /// Verifies the AUTH value that follows EAP-Success, by the MSK, or by SK_pi of a method without keys; RFC 7296 section 2.16.
    static func verifying(
        _ authentication: AuthenticationPayload, of identity: IdentificationPayload, after success: EAPSuccess, signed: SignedOctets,
        keys: borrowing SAKeys
    ) throws(ProofFailure) -> VerifiedPeer {
        guard let octets = try? signed.initiator(identity, keys: keys) else { throw .library }
        if let key = success.key {
            try verify(authentication, over: octets, secret: key.octets, prf: keys.prf, orThrow: .sessionKeysDiffer)
        } else {
            try verify(authentication, over: octets, secret: keys.pi, prf: keys.prf, orThrow: .sessionKeysDiffer)
        }
        return VerifiedPeer(identity: identity, method: authentication.method, proof: .eap, eapIdentity: success.identity)
    }

    /// In constant time.
    private static func verify(
        _ authentication: AuthenticationPayload, over octets: [UInt8], secret: borrowing SecretOctets, prf: PRF, orThrow failure: ProofFailure
    ) throws(ProofFailure) {
        guard authentication.method == .sharedKey else { throw .wrongMethod }
        guard let expected = try? SharedKey.authentication(over: octets, secret: secret, prf: prf) else { throw .library }
        guard expected.isEqual(to: authentication.data) else { throw failure }
    }

    private static func verify(
        _ authentication: AuthenticationPayload, over octets: [UInt8], key: PublicKey, acceptsSHA1: Bool
    ) throws(ProofFailure) {
        let proof = try digitalSignature(authentication)
        guard proof.scheme.hash != .sha1 || acceptsSHA1 else { throw .weakHash }
        do throws(SignatureError) {
            try key.verify(proof.signature, over: octets, by: proof.scheme)
        } catch {
            throw .signature(error)
        }
    }

    private static func digitalSignature(_ authentication: AuthenticationPayload) throws(ProofFailure) -> DigitalSignature {
        guard authentication.method == .digitalSignature else {
            guard let scheme = SignatureScheme.of(method: authentication.method.rawValue) else { throw .wrongMethod }
            return DigitalSignature(scheme: scheme, signature: authentication.data)
        }
        do throws(SignatureError) {
            return try DigitalSignature(parsing: authentication.data)
        } catch {
            throw .signature(error)
        }
    }
}

/// Why a client did not prove who it is; told to the log alone.
enum ProofFailure: Error, Hashable {
    /// No AUTH payload: the client wants EAP.
    case absent
    case wrongMethod
    case sharedKeysDiffer
    /// The MSK of the client is not the one that came with Access-Accept: somebody between relays EAP (threats.md P15).
    case sessionKeysDiffer
    /// AUTH before EAP has succeeded (threats.md C6).
    case early
    case signature(SignatureError)
    /// SHA-1 from a client that has better (features.md X-7).
    case weakHash
    case library

    var cause: String {
        switch self {
        case .absent: "it sent no AUTH value"
        case .wrongMethod: "its AUTH value is of another method than was agreed"
        case .sharedKeysDiffer: "its AUTH value is wrong: the pre-shared keys differ"
        case .sessionKeysDiffer: "its AUTH value after EAP is wrong: it has not the key that EAP made"
        case .early: "it sent an AUTH value before EAP had succeeded"
        case .signature(.malformed), .signature(.unknownAlgorithm): "its AUTH value is of no signature algorithm that is taken here"
        case .signature(.wrongKey): "its signature is of another kind than its certificate's key"
        case .signature: "its signature is wrong: it has not the key of its certificate"
        case .weakHash: "its signature uses SHA-1"
        case .library: "the cryptographic library failed"
        }
    }
}

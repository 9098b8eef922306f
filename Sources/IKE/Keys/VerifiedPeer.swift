import GatewayCrypto
package import IKEMessages
import Wire

/// Proof that a peer's AUTH value was verified; an established IKE SA can be built from nothing else (threats.md C6, invariant I1).
package struct VerifiedPeer: Sendable {
    package let identity: IdentificationPayload
    package let method: AuthenticationMethod

    private init(identity: IdentificationPayload, method: AuthenticationMethod) {
        self.identity = identity
        self.method = method
    }

    /// Verifies the AUTH value of a request by what its sender must prove itself by, RFC 7296 section 2.15. `acceptsSHA1`: of a client that
    /// sent no SIGNATURE_HASH_ALGORITHMS (features.md X-7).
    static func verifying(
        _ request: IKEAuthRequest, by proof: PeerProof, signed: SignedOctets, keys: borrowing SAKeys, acceptsSHA1: Bool
    ) throws(ProofFailure) -> VerifiedPeer {
        guard let authentication = request.authentication else { throw .absent }
        guard let octets = try? signed.initiator(request.identity, keys: keys) else { throw .library }
        switch proof {
        case .sharedKey(let key): try verify(authentication, over: octets, sharedKey: key, prf: keys.prf)
        case .certificate(let key): try verify(authentication, over: octets, key: key, acceptsSHA1: acceptsSHA1)
        }
        return VerifiedPeer(identity: request.identity, method: authentication.method)
    }

    /// In constant time.
    private static func verify(
        _ authentication: AuthenticationPayload, over octets: [UInt8], sharedKey: Secret<[UInt8]>, prf: PRF
    ) throws(ProofFailure) {
        guard authentication.method == .sharedKey else { throw .wrongMethod }
        guard let expected = try? SharedKey.authentication(over: octets, sharedKey: sharedKey, prf: prf) else { throw .library }
        guard expected.isEqual(to: authentication.data) else { throw .sharedKeysDiffer }
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
    case signature(SignatureError)
    /// SHA-1 from a client that has better (features.md X-7).
    case weakHash
    case library

    var cause: String {
        switch self {
        case .absent: "it sent no AUTH value"
        case .wrongMethod: "its AUTH value is of another method than was agreed"
        case .sharedKeysDiffer: "its AUTH value is wrong: the pre-shared keys differ"
        case .signature(.malformed), .signature(.unknownAlgorithm): "its AUTH value is of no signature algorithm that is taken here"
        case .signature(.wrongKey): "its signature is of another kind than its certificate's key"
        case .signature: "its signature is wrong: it has not the key of its certificate"
        case .weakHash: "its signature uses SHA-1"
        case .library: "the cryptographic library failed"
        }
    }
}

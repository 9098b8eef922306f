package import GatewayCrypto
package import IKEMessages
import Wire

extension RoadWarrior {
    /// Our own certificate and its key.
    package struct Certificate: Sendable {
        /// DER: our own first, then the intermediates above it.
        package var chain: [[UInt8]]
        package var key: PrivateKey
        /// RSA-PSS rather than PKCS #1 v1.5, where the gateway knows RFC 7427.
        package var prefersPSS = false
        /// Signs with this and nothing else, whatever the gateway says it has.
        package var scheme: SignatureScheme?

        package init(chain: [[UInt8]], key: PrivateKey) {
            self.chain = chain
            self.key = key
        }
    }

    /// Whose certificates the gateway may have. Paths and names are somebody else's: this client knows keys and signatures alone.
    package struct CertificateTrust: Sendable {
        /// What our CERTREQ says: SHA-1 hashes of the CAs' public keys, one behind the other.
        package var authorities: [UInt8]
        /// The key of the first of these certificates, if it may be believed and belongs to this identity.
        package var judge: @Sendable ([[UInt8]], IdentificationPayload) throws(Distrust) -> PublicKey

        package init(
            authorities: [UInt8], judge: @escaping @Sendable ([[UInt8]], IdentificationPayload) throws(Distrust) -> PublicKey
        ) {
            self.authorities = authorities
            self.judge = judge
        }
    }

    /// Why a certificate of the gateway is not believed.
    package struct Distrust: Error, Equatable, Sendable {
        package let words: String

        package init(_ words: String) { self.words = words }
    }

    /// Whether certificates play a part, of either side.
    var usesSignatures: Bool { settings.certificate != nil || settings.trust != nil }

    /// What the IKE_SA_INIT response says of signatures and CAs.
    mutating func noteSignatures(_ payloads: [Payload]) {
        requestedAuthorities = payloads.requestedAuthorities
        peerHashes = payloads.notify(.signatureHashAlgorithms).flatMap { try? SignatureHashAlgorithm.list(parsing: $0.data) }
    }

    /// AUTH, and the CERT payloads that stand before it.
    func proof() throws(CryptoError) -> (certificates: [Payload], authentication: AuthenticationPayload) {
        guard let certificate = settings.certificate else {
            let value = try sharedKeyValue(
                message: initiation.signed, otherNonce: initiation.responderNonce, identity: settings.identity, ours: true)
            return ([], AuthenticationPayload(method: .sharedKey, data: value))
        }
        guard let keys = ike.keys,
            let scheme = certificate.scheme
                ?? certificate.key.publicKey.scheme(peerHashes: peerHashes, preferringPSS: certificate.prefersPSS)
        else { throw .unsupported }
        let octets = try Derivation.signedOctets(
            keys.suite.prf, message: initiation.signed, otherNonce: initiation.responderNonce, identity: settings.identity.body,
            identityKey: keys.initiatorIdentity)
        let signature: [UInt8]
        do {
            signature = try certificate.key.sign(octets, by: scheme)
        } catch {
            throw .library
        }
        let data = scheme.method == 14 ? DigitalSignature(scheme: scheme, signature: signature).encoded : signature
        guard let data else { throw .unsupported }
        return (
            certificate.chain.map { .certificate(CertificatePayload(encoding: .x509Signature, data: $0)) },
            AuthenticationPayload(method: AuthenticationMethod(rawValue: scheme.method), data: data)
        )
    }

    /// AUTH of either side by the shared key, RFC 7296 section 2.15: each covers its own first message, the other's nonce and its own identity.
    /// `key`: what EAP made, in the place of the shared key (RFC 7296 section 2.16).
    func sharedKeyValue(
        message: [UInt8], otherNonce: [UInt8], identity: IdentificationPayload, ours: Bool, key other: [UInt8]? = nil
    ) throws(CryptoError) -> [UInt8] {
        guard let keys = ike.keys else { throw .unsupported }
        let key = other ?? settings.presharedKey.revealed()
        guard ours else {
            return try Derivation.authentication(
                keys.suite.prf, presharedKey: key, message: message, otherNonce: otherNonce, identity: identity.body,
                identityKey: keys.responderIdentity)
        }
        return try Derivation.authentication(
            keys.suite.prf, presharedKey: key, message: message, otherNonce: otherNonce, identity: identity.body,
            identityKey: keys.initiatorIdentity)
    }

    /// Why the responder is not who it must be, or nil.
    func authenticationFault(
        _ identity: IdentificationPayload, _ auth: AuthenticationPayload, certificates: [[UInt8]]
    ) -> String? {
        if let fault = identityFault(identity) { return fault }
        guard let trust = settings.trust else { return sharedKeyFault(identity, auth, key: settings.presharedKey.revealed()) }
        let key: PublicKey
        do {
            key = try trust.judge(certificates, identity)
        } catch {
            return error.words
        }
        return signatureFault(identity, auth, by: key)
    }

    func identityFault(_ identity: IdentificationPayload) -> String? {
        guard let wanted = settings.remoteIdentity, wanted.type != identity.type || wanted.data != identity.data else { return nil }
        return "it says it is \(identity.words), not \(wanted.words)"
    }

    func sharedKeyFault(_ identity: IdentificationPayload, _ auth: AuthenticationPayload, key: [UInt8]) -> String? {
        guard auth.method == .sharedKey else { return "it used another authentication method" }
        do {
            let expected = try sharedKeyValue(
                message: initiation.signedByGateway, otherNonce: initiation.nonce, identity: identity, ours: false, key: key)
            let right = SecretOctets(copying: expected).isEqual(to: auth.data)
            return right ? nil : "its AUTH value is wrong; does it know the same key?"
        } catch {
            return "cryptography failed: \(error)"
        }
    }

    private func signatureFault(
        _ identity: IdentificationPayload, _ auth: AuthenticationPayload, by key: PublicKey
    ) -> String? {
        let proof: DigitalSignature
        do {
            if auth.method == .digitalSignature {
                proof = try DigitalSignature(parsing: auth.data)
            } else {
                guard let scheme = SignatureScheme.of(method: auth.method.rawValue) else {
                    return "it used another authentication method"
                }
                proof = DigitalSignature(scheme: scheme, signature: auth.data)
            }
            guard proof.scheme.hash != .sha1 || !settings.announcesSignatureHashes else { return "it signed with SHA-1" }
            guard let keys = ike.keys else { return "there are no keys" }
            let octets = try Derivation.signedOctets(
                keys.suite.prf, message: initiation.signedByGateway, otherNonce: initiation.nonce, identity: identity.body,
                identityKey: keys.responderIdentity)
            try key.verify(proof.signature, over: octets, by: proof.scheme)
            return nil
        } catch let error as SignatureError {
            return error == .invalid ? "its signature is wrong" : "its signature is not one that we can check (\(error))"
        } catch {
            return "cryptography failed: \(error)"
        }
    }
}

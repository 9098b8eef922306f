/// A trust-anchor-profile with its certificates: whose end entities may come in. Immutable, used by many logins at once.
package struct TrustAnchors: Sendable {
    package static let maximum = 8
    /// CERT payloads of one login (threats.md C3).
    package static let maximumPayloads = 10
    /// A chain's last certificate may be this far above the end entity.
    package static let maximumDepth = 7

    package let authorities: [CertificateAuthority]
    /// Further CAs of the configuration that complete chains which the peer left incomplete; not trusted by themselves.
    package let intermediates: [Certificate]
    private let strength: PathStrength
    /// What has been read before; shared by all copies of these anchors, and gone with the last of them.
    let known: KnownCertificates

    package enum Problem: Error, Hashable, Sendable {
        case empty
        case tooMany
    }

    /// Throws unless there are 1 ... 8 anchors (features.md PKI-11).
    package init(_ authorities: [CertificateAuthority], intermediates: [CertificateAuthority] = []) throws(Problem) {
        guard !authorities.isEmpty else { throw .empty }
        guard authorities.count <= Self.maximum, intermediates.count <= 128 else { throw .tooMany }
        self.authorities = authorities
        self.intermediates = intermediates.map(\.certificate)
        strength = .current
        known = KnownCertificates()
    }

    /// For vectors of another age, which no configuration reaches.
    init(historic anchor: Certificate) {
        authorities = [CertificateAuthority(unchecked: anchor)]
        intermediates = []
        strength = .historic
        known = KnownCertificates()
    }

    /// The same with room for as many certificates of one generation.
    init(_ anchors: TrustAnchors, limit: Int) {
        authorities = anchors.authorities
        intermediates = anchors.intermediates
        strength = anchors.strength
        known = KnownCertificates(limit: limit)
    }

    /// What CERTREQ payloads say: one hash for each anchor.
    package var requests: CertificateRequests { CertificateRequests(authorities.map(\.certificate)) }

    /// What an end entity's certificate is to be good for.
    package enum Purpose: Hashable, Sendable {
        /// A client's: ExtendedKeyUsage absent, or with clientAuth, ipsecIKE or any.
        case client
        /// A gateway's, for initiators: serverAuth instead of clientAuth.
        case server

        var accepted: Set<ObjectIdentifier> {
            [.anyExtendedKeyUsage, .ipsecIKE, self == .client ? .clientAuthentication : .serverAuthentication]
        }
    }

    /// Finds and validates a chain from the first certificate to any anchor (features.md AUTH-11), RFC 5280 section 6.
    /// `payloads` are the CERT payloads' octets in the order of the message, the end entity first, at most 10; repetitions and further certificates
    /// that cannot be read are passed over. Throws the plain cause.
    package func validate(_ payloads: [[UInt8]], purpose: Purpose = .client, at time: CertificateTime) throws(PathFailure) -> ValidatedPath {
        guard payloads.count <= Self.maximumPayloads else { throw PathFailure(.tooManyCertificates) }
        guard let first = payloads.first else { throw PathFailure(.noCertificate) }
        let endEntity: Certificate
        do throws(CertificateError) {
            endEntity = try read(first)
        } catch {
            throw PathFailure(.malformed(error))
        }
        var pool: [Certificate] = []
        var unreadable: PathFailure?
        for (index, payload) in payloads.enumerated().dropFirst() {
            do throws(CertificateError) {
                let certificate = try read(payload)
                if certificate != endEntity, !pool.contains(certificate) { pool.append(certificate) }
            } catch {
                unreadable = unreadable ?? PathFailure(.malformed(error), depth: index)
            }
        }
        return try validate(endEntity, among: pool, unreadable: unreadable, purpose: purpose, at: time)
    }

    private func read(_ octets: [UInt8]) throws(CertificateError) -> Certificate {
        if let known = known.find(octets) { return known.certificate }
        return try Certificate(der: octets)
    }

    private func validate(
        _ endEntity: Certificate, among pool: [Certificate], unreadable: PathFailure?, purpose: Purpose, at time: CertificateTime
    ) throws(PathFailure) -> ValidatedPath {
        guard !authorities.contains(where: { $0.certificate == endEntity }) else { throw PathFailure(.isTrustAnchor, depth: 0, endEntity) }
        guard strength.accepts(endEntity.subjectKey) else { throw PathFailure(.weakKey, depth: 0, endEntity) }
        var builder = PathBuilder(anchors: authorities.map(\.certificate), pool: pool + intermediates.filter { !pool.contains($0) })
        builder.build(from: endEntity)
        guard !builder.paths.isEmpty else {
            if let unreadable { throw unreadable }
            throw PathFailure(builder.wasTooLong ? .pathTooLong : .unknownAuthority, depth: builder.highest.depth, builder.highest.certificate)
        }
        var failure: PathFailure?
        for path in builder.paths {
            do throws(PathFailure) {
                try PathValidation.validate(path, accepting: purpose.accepted, strength, known, at: time)
                return try ValidatedPath(certificates: path)
            } catch {
                failure = failure ?? error
            }
        }
        throw failure ?? PathFailure(.unknownAuthority, depth: 0, endEntity)
    }
}

/// A chain that was validated: comes from `TrustAnchors.validate` only (threats.md C6). The peer has yet to prove that it has the key.
package struct ValidatedPath: Hashable, Sendable {
    /// The end entity first, the trust anchor last.
    package let certificates: [Certificate]
    package let endEntity: Certificate
    package let anchor: Certificate

    fileprivate init(certificates: [Certificate]) throws(PathFailure) {
        guard let first = certificates.first, let last = certificates.last, certificates.count > 1 else { throw PathFailure(.noCertificate) }
        self.certificates = certificates
        endEntity = first
        anchor = last
    }

    /// The earliest end of validity in the chain.
    package var notAfter: CertificateTime { certificates.map(\.notAfter).min() ?? endEntity.notAfter }
}

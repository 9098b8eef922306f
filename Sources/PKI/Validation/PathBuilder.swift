/// Chains by names and key identifiers, features.md PKI-8: from an end entity upwards to an anchor, each certificate at most once.
/// Whatever a peer sends, the work is bounded by `maximumSteps` certificates looked at, and few paths are tried (threats.md C3, C8).
struct PathBuilder {
    static let maximumPaths = 4
    static let maximumSteps = 64

    let anchors: [Certificate]
    let pool: [Certificate]
    private(set) var paths: [[Certificate]] = []
    private(set) var steps = 0
    /// Where the first attempt ended: whose issuer is missing.
    private(set) var highest: (depth: Int, certificate: Certificate?) = (0, nil)
    private(set) var wasTooLong = false

    init(anchors: [Certificate], pool: [Certificate]) {
        self.anchors = anchors
        // an anchor that the peer sends along is found as an anchor
        self.pool = pool.filter { !anchors.contains($0) }
    }

    mutating func build(from endEntity: Certificate) {
        highest = (0, endEntity)
        // recursion is at most `maximumDepth` deep
        extend([endEntity])
    }

    private mutating func extend(_ path: [Certificate]) {
        guard let top = path.last, steps < Self.maximumSteps, paths.count < Self.maximumPaths else { return }
        steps += 1
        if path.count - 1 > highest.depth { highest = (path.count - 1, top) }
        guard path.count <= TrustAnchors.maximumDepth else {
            wasTooLong = true
            return
        }
        for anchor in anchors where anchor.mayHaveIssued(top) && paths.count < Self.maximumPaths {
            paths.append(path + [anchor])
        }
        for candidate in pool where candidate.mayHaveIssued(top) && !path.contains(candidate) {
            extend(path + [candidate])
        }
    }
}

extension Certificate {
    /// By subject and issuer; by key identifiers where both have one.
    func mayHaveIssued(_ other: Certificate) -> Bool {
        guard subject == other.issuer else { return false }
        guard let wanted = other.extensions.authorityKeyIdentifier, let own = extensions.subjectKeyIdentifier else { return true }
        return wanted == own
    }
}

package import Config
import FoundationEssentials
import GatewayCrypto
import IKE
import PKI
import Wire

/// The certificates and keys of a configuration, read from their files and checked; a reload reads them again.
package struct CertificateInventory: Sendable {
    /// By gateway.
    private(set) var gateways: [String: GatewayCertificates] = [:]
    /// What is watched for its end (features.md PKI-15).
    private(set) var watched: [ExpiryWatch.Subject] = []
    /// Their files.
    private var files: [ExpiryWatch.Subject: String] = [:]
    /// Errors stop a run; warnings are what clients would stumble over.
    package private(set) var problems: [Problem] = []

    private let configuration: Configuration
    private let time: CertificateTime
    private var certificates: [String: Certificate?] = [:]
    private var authorities: [String: CertificateAuthority?] = [:]
    private var profiles: [String: (own: OwnCertificates, keys: [Int: PrivateKey], pss: Set<Int>)?] = [:]

    /// Reads what enabled gateways use.
    package init(_ configuration: Configuration) {
        self.configuration = configuration
        time = .now
        for gateway in configuration.gateways where gateway.isEnabled && (gateway.policy.signs || gateway.policy.acceptsCertificate) {
            read(gateway)
        }
    }

    private mutating func read(_ gateway: GatewayConfiguration) {
        var result = GatewayCertificates()
        if gateway.policy.signs, let name = gateway.certificate?.profile, let profile = profile(name) {
            result.own = profile.own
            result.keys = profile.keys
            result.signsByPSS = profile.pss
            warn(of: profile.own, name, gateway)
        }
        if gateway.policy.acceptsCertificate, let name = gateway.certificate?.trustAnchors {
            let anchors = configuration.pki.trustAnchorProfiles.first { $0.name == name }?.anchors ?? []
            let up = anchors.compactMap { authority($0) }
            let others = configuration.pki.caProfiles.map(\.name).filter { !anchors.contains($0) }.compactMap { authority($0) }
            result.anchors = try? TrustAnchors(up, intermediates: others)
        }
        gateways[gateway.name] = result
    }

    // MARK: ca-profiles

    /// nil: it is down, and a problem says why.
    private mutating func authority(_ name: String) -> CertificateAuthority? {
        if let known = authorities[name] { return known }
        let authority = readAuthority(name)
        authorities[name] = .some(authority)
        return authority
    }

    private mutating func readAuthority(_ name: String) -> CertificateAuthority? {
        guard let profile = configuration.pki.caProfiles.first(where: { $0.name == name }), profile.isEnabled,
            let certificate = certificate(profile.certificateFile)
        else { return nil }
        watch(certificate, "ca-profile \(name)", file: profile.certificateFile)
        let check = RevocationCheck(rawValue: profile.revocationCheck.rawValue) ?? .crl
        do throws(CertificateAuthority.Problem) {
            return try CertificateAuthority(name: name, certificate: certificate, revocationCheck: check, at: time)
        } catch {
            // One that is out of date is down, and the gateway serves those of other authorities (features.md PKI-16).
            switch error {
            case .expired, .notYetValid:
                report(.warning, profile.certificateFile, found: "\(certificate)", allowed: "a CA that is valid now; nobody comes in by it: \(error)")
            case .revocationCheckNotSupported: break
            case .notVersion3, .notAnAuthority, .keyUsage, .weakKey:
                report(.error, profile.certificateFile, found: "\(certificate)", allowed: "the certificate of a CA; \(error)")
            }
            return nil
        }
    }

    private mutating func certificate(_ path: String) -> Certificate? {
        if let known = certificates[path] { return known }
        let certificate = readCertificate(path)
        certificates[path] = .some(certificate)
        return certificate
    }

    private mutating func readCertificate(_ path: String) -> Certificate? {
        let file: [UInt8]
        do throws(CertificateFile.Failure) {
            file = try CertificateFile.certificate(path)
        } catch {
            report(.error, path, found: error.text, allowed: "a certificate in PEM or DER")
            return nil
        }
        do throws(CertificateError) {
            return try Certificate(file: file)
        } catch {
            report(.error, path, found: "\(error)", allowed: "a certificate in PEM or DER")
            return nil
        }
    }

    // MARK: cert-profiles

    private mutating func profile(_ name: String) -> (own: OwnCertificates, keys: [Int: PrivateKey], pss: Set<Int>)? {
        if let known = profiles[name] { return known }
        let profile = readProfile(name)
        profiles[name] = .some(profile)
        return profile
    }

    private mutating func readProfile(_ name: String) -> (own: OwnCertificates, keys: [Int: PrivateKey], pss: Set<Int>)? {
        guard let profile = configuration.pki.certificateProfiles.first(where: { $0.name == name }) else { return nil }
        var entries: [OwnCertificates.Entry] = []
        var keys: [Int: PrivateKey] = [:]
        for entry in profile.entries {
            guard let (made, key) = read(entry) else { continue }
            entries.append(made)
            keys[entry.id] = key
            watch(made.certificate, "cert-profile \(name) entry \(entry.id)", file: entry.certificateFile)
        }
        guard entries.count == profile.entries.count, let own = try? OwnCertificates(entries) else { return nil }
        return (own, keys, Set(profile.entries.filter { $0.rsaSignature == .pss }.map(\.id)))
    }

    private mutating func read(_ entry: CertificateProfile.Entry) -> (OwnCertificates.Entry, PrivateKey)? {
        guard let certificate = certificate(entry.certificateFile), let key = privateKey(entry.keyFile) else { return nil }
        var chain: [Certificate] = []
        for name in entry.sendChain {
            guard let profile = configuration.pki.caProfiles.first(where: { $0.name == name }),
                let issuer = self.certificate(profile.certificateFile)
            else { return nil }
            chain.append(issuer)
        }
        var known: [Certificate] = []
        for profile in configuration.pki.caProfiles where profile.isEnabled {
            if let authority = authority(profile.name) { known.append(authority.certificate) }
        }
        do throws(OwnCertificates.Problem) {
            let made = try OwnCertificates.Entry(
                id: entry.id, certificate: certificate, keyInfo: key.publicKey.subjectPublicKeyInfo, sendChain: chain, authorities: known)
            return (made, key)
        } catch {
            report(.error, entry.keyFile, found: "a key for \(certificate)", allowed: "the key of \(entry.certificateFile); \(error)")
            return nil
        }
    }

    private mutating func privateKey(_ path: String) -> PrivateKey? {
        do {
            return try PrivateKey(try CertificateFile.secret(path))
        } catch let error as CertificateFile.Failure {
            report(.error, path, found: error.text, allowed: "a private key in PEM or DER")
        } catch KeyError.passphraseNeeded {
            report(.error, path, found: "an encrypted key", allowed: "a key without passphrase: openssl pkey -in \(path) -out FILE")
        } catch {
            report(
                .error, path, found: "no key that can be used (\(error))", allowed: "a private key of RSA 2048...8192, ECDSA P-256/384/521 or Ed25519"
            )
        }
        return nil
    }

    // MARK: Ends

    private mutating func watch(_ certificate: Certificate, _ name: String, file: String) {
        let subject = ExpiryWatch.Subject(name: name, certificate: certificate)
        watched.append(subject)
        files[subject] = file
    }

    /// What ends within the time of `certificate-expiration-warning`; `check` shows it, a running gateway has its `ExpiryReminder`.
    package var ending: [Problem] {
        var watch = ExpiryWatch(lead: configuration.pki.certificateExpiration.before, repetition: nil)
        let due = watch.due(watched, at: time).filter { !$0.hasExpired }
        return due.compactMap { warning in
            guard let subject = watched.first(where: { $0.name == warning.name }), let file = files[subject] else { return nil }
            return configuration.problem(
                .warning, file: file, found: "\(subject.certificate), which ends at \(warning.notAfter)",
                allowed: "a certificate that lasts longer; renew it in time")
        }
    }

    // MARK: Problems

    /// What Windows and Apple clients refuse (configuration.md).
    private mutating func warn(of own: OwnCertificates, _ profile: String, _ gateway: GatewayConfiguration) {
        let files = configuration.pki.certificateProfiles.first { $0.name == profile }?.entries ?? []
        for (entry, file) in zip(own.entries, files) {
            for warning in entry.warnings(name: name(gateway), at: time) {
                report(.warning, file.certificateFile, found: "\(entry.certificate) for gateway \(gateway.name)", allowed: "\(warning)")
            }
            guard case .auto = gateway.identity, entry.certificate.subjectAlternativeNames.isEmpty else { continue }
            report(
                .warning, file.certificateFile, found: "\(entry.certificate) for gateway \(gateway.name)",
                allowed: "\(OwnCertificates.Warning.nameMissing)")
        }
    }

    /// What clients call the gateway; nil where the certificate decides.
    private func name(_ gateway: GatewayConfiguration) -> PeerIdentity? {
        switch gateway.identity {
        case .auto: nil
        case .ipv4(let address), .ipv6(let address): .address(address)
        case .fqdn(let name): .fqdn(Array(name.utf8))
        }
    }

    private mutating func report(_ severity: Problem.Severity, _ path: String, found: String, allowed: String) {
        let problem = configuration.problem(severity, file: path, found: found, allowed: allowed)
        if !problems.contains(problem) { problems.append(problem) }
    }
}

extension CertificateTime {
    /// Certificates alone, and accounting later, go by the wall clock (threats.md P40).
    static var now: CertificateTime { CertificateTime(unixSeconds: Int64(Date().timeIntervalSince1970)) }
}

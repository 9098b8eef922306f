/// `pki`, `cert-profile`, `trust-anchor-profile`.
extension Draft {
    func readPKI(_ value: Value?) {
        value?.section { section in
            configuration.pki.certificateExpiration = expirationWarning(section["certificate-expiration-warning"])
            configuration.pki.crlExpiration = expirationWarning(section["crl-expiration-warning"])
            caProfiles.read(section["ca-profile"], max: 128) { key, value in
                value.section { readCAProfile(key.name, $0) } ?? nil
            }
        }
        configuration.pki.caProfiles = caProfiles.objects
    }

    private func expirationWarning(_ value: Value?) -> PKISettings.ExpirationWarning {
        var warning = PKISettings.ExpirationWarning()
        value?.section { section in
            warning.before = section.required("hours", "0...8760 hours")?.hours(0...8760)
            warning.repetition = section["repeat-hours"]?.hours(0...8760)
            if warning.repetition == .zero { warning.repetition = nil }
        }
        return warning
    }

    /// A file that `run` reads, for `check` to say whether it is there.
    func file(_ value: Value?) -> String? {
        guard let value, let path = value.absolutePath() else { return nil }
        configuration.references.append(
            ExternalReference(target: .file(path), keyPath: value.path, position: value.position))
        return path
    }

    private func readCAProfile(_ name: String, _ section: Section) -> CAProfile? {
        let isEnabled = section["admin-state"]?.isEnabled() ?? true
        let certificate = file(section.required("cert-file", "an absolute path"))
        let crl = file(section["crl-file"])
        let check = section["revocation-check"]
        let revocation: CAProfile.RevocationCheck = check?.choice() ?? .crl
        if revocation == .none {
            check?.warn(found: "\"none\"", allowed: "crl or crl-optional: a stolen key stays good until its certificate ends")
        } else {
            reader.uses(
                .revocation, at: check?.position ?? section.position, check?.path ?? section.path, found: revocation.rawValue)
        }
        let responder = section["ocsp"]?.section { section -> String? in
            section.required("responder-url", "http://...")?.url(["http", "https"])
        }
        let update = section["auto-crl-update"]?.section { readCRLUpdate($0) }
        guard let certificate else { return nil }
        return CAProfile(
            name: name, isEnabled: isEnabled, certificateFile: certificate, crlFile: crl, revocationCheck: revocation,
            ocspResponder: responder ?? nil, crlUpdate: update ?? nil)
    }

    private func readCRLUpdate(_ section: Section) -> CAProfile.CRLUpdate? {
        var update = CAProfile.CRLUpdate()
        let isEnabled = section["admin-state"]?.isEnabled() ?? true
        update.schedule = section["schedule-type"]?.choice() ?? update.schedule
        update.period = section["periodic-update-interval"]?.seconds(3600...31_622_400) ?? update.period
        update.preUpdateTime = section["pre-update-time"]?.seconds(0...31_622_400) ?? update.preUpdateTime
        update.retryInterval = section["retry-interval"]?.seconds(0...31_622_400) ?? update.retryInterval
        update.urls =
            section.required("crl-urls", "a list of URLs")?.list(1, max: 8)?
            .compactMap { $0.url(["http", "https", "ldap"]) } ?? []
        return isEnabled ? update : nil
    }

    func readCertificateProfiles(_ value: Value?) {
        certificateProfiles.read(value, max: 10_200) { key, value in
            value.section { section in
                var entries = Table<CertificateProfile.Entry>("entry")
                entries.read(ids: section.required("entry", "at least one entry"), max: 8) { id, entry in
                    entry.section { readCertificateEntry(id, $0, owner: value.path) } ?? nil
                }
                value.uses(.certificates)
                return CertificateProfile(name: key.name, entries: entries.objects)
            }
        }
        configuration.pki.certificateProfiles = certificateProfiles.objects
    }

    private func readCertificateEntry(_ id: Int, _ section: Section, owner: String) -> CertificateProfile.Entry? {
        let certificate = file(section.required("cert", "an absolute path"))
        let key = file(section.required("key", "an absolute path"))
        let signature: CertificateProfile.RSASignature = section["rsa-signature"]?.choice() ?? .pkcs1
        let chain = section["send-chain"]?.section { section in
            caProfileNames(section.required("ca-profile", "a list of ca-profiles"), from: owner, max: 7)
        }
        guard let certificate, let key else { return nil }
        return CertificateProfile.Entry(
            id: id, certificateFile: certificate, keyFile: key, rsaSignature: signature, sendChain: chain ?? [])
    }

    func readTrustAnchorProfiles(_ value: Value?) {
        trustAnchorProfiles.read(value, max: 10_200) { key, value in
            value.section { section in
                value.uses(.certificates)
                return TrustAnchorProfile(
                    name: key.name,
                    anchors: caProfileNames(
                        section.required("trust-anchor", "a list of ca-profiles"), from: value.path, max: 8))
            }
        }
        configuration.pki.trustAnchorProfiles = trustAnchorProfiles.objects
    }

    private func caProfileNames(_ value: Value?, from owner: String, max maximum: Int) -> [String] {
        (value?.list(1, max: maximum) ?? []).compactMap { resolve($0, in: caProfiles, from: owner)?.name }
    }
}

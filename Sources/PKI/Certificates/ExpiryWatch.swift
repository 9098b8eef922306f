/// When to warn that a certificate ends, features.md PKI-15: `lead` before the end, then each `repetition` until it is replaced or gone.
package struct ExpiryWatch: Sendable {
    /// nil: never.
    package let lead: Duration?
    /// nil: once.
    package let repetition: Duration?
    private var warned: [Subject: CertificateTime] = [:]

    package struct Subject: Hashable, Sendable {
        /// The ca-profile or cert-profile entry it stands in.
        package let name: String
        package let certificate: Certificate

        package init(name: String, certificate: Certificate) {
            self.name = name
            self.certificate = certificate
        }
    }

    package struct Warning: Hashable, Sendable {
        package let name: String
        package let certificate: String
        package let notAfter: CertificateTime
        package let hasExpired: Bool
    }

    package init(lead: Duration?, repetition: Duration?) {
        self.lead = lead
        self.repetition = repetition.flatMap { $0 > .zero ? $0 : nil }
    }

    /// What is due now, among all that are in use; what is no longer in use is forgotten.
    package mutating func due(_ subjects: [Subject], at time: CertificateTime) -> [Warning] {
        guard let lead else { return [] }
        let inUse = Set(subjects)
        warned = warned.filter { inUse.contains($0.key) }
        var warnings: [Warning] = []
        for subject in subjects where subject.certificate.notAfter + (.zero - lead) <= time {
            if let last = warned[subject] {
                guard let repetition, last + repetition <= time else { continue }
            }
            warned[subject] = time
            let notAfter = subject.certificate.notAfter
            warnings.append(
                Warning(name: subject.name, certificate: subject.certificate.description, notAfter: notAfter, hasExpired: notAfter < time))
        }
        return warnings
    }

    /// When to ask next; nil when nothing will be due.
    package func next(_ subjects: [Subject], after time: CertificateTime) -> CertificateTime? {
        guard let lead else { return nil }
        return subjects.compactMap { subject -> CertificateTime? in
            guard let last = warned[subject] else { return max(subject.certificate.notAfter + (.zero - lead), time) }
            return repetition.map { max(last + $0, time) }
        }.min()
    }
}

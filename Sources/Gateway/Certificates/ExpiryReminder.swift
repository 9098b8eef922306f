package import PKI

/// Tells the log of certificates that end, in time and again (features.md PKI-15). Asks the wall clock every few minutes rather than to sleep until
/// then: somebody may set it.
package actor ExpiryReminder {
    /// Hours are what is configured; this is exact enough.
    static let pause = Duration.seconds(300)

    private var watch: ExpiryWatch
    private var subjects: [ExpiryWatch.Subject]
    private let warn: @Sendable (ExpiryWatch.Warning, CertificateTime) -> Void

    package init(
        lead: Duration?, repetition: Duration?, _ subjects: [ExpiryWatch.Subject],
        warn: @escaping @Sendable (ExpiryWatch.Warning, CertificateTime) -> Void
    ) {
        watch = ExpiryWatch(lead: lead, repetition: repetition)
        self.subjects = subjects
        self.warn = warn
    }

    /// After a reload: other certificates, perhaps other times. What was told already is told again only when it is due, or the times are others.
    package func use(lead: Duration?, repetition: Duration?, _ subjects: [ExpiryWatch.Subject], at time: CertificateTime) {
        let next = ExpiryWatch(lead: lead, repetition: repetition)
        if next.lead != watch.lead || next.repetition != watch.repetition { watch = next }
        self.subjects = subjects
        tell(at: time)
    }

    /// Warns of what is due.
    package func tell(at time: CertificateTime) {
        for warning in watch.due(subjects, at: time) { warn(warning, time) }
    }

    /// Until it is cancelled.
    func run() async {
        while !Task.isCancelled {
            tell(at: .now)
            try? await Task.sleep(for: Self.pause)
        }
    }
}

extension EventLog {
    func certificateEnds(_ warning: ExpiryWatch.Warning, at time: CertificateTime) {
        certificateEnds(
            warning.certificate, subject: warning.name, end: "\(warning.notAfter)",
            days: max(0, (warning.notAfter - time).components.seconds / 86_400), hasExpired: warning.hasExpired)
    }
}

import Foundation
import Gateway
import GatewayTesting
import PKI
import Synchronization
import Testing

/// Certificates that end, with a clock that the test moves (features.md PKI-15).
@Suite("Certificates that end are told of")
struct ExpiryReminderTests {
    /// What was told, by whom and when.
    final class Told: Sendable {
        private let lines = Mutex<[String]>([])

        func add(_ warning: ExpiryWatch.Warning, at time: CertificateTime) {
            let hours = (time - TestCA.now).components.seconds / 3600
            lines.withLock { $0.append("\(hours) \(warning.name)\(warning.hasExpired ? " expired" : "")") }
        }

        /// And forgets.
        func take() -> [String] {
            lines.withLock { lines in
                defer { lines = [] }
                return lines
            }
        }
    }

    private static func hour(_ count: Int) -> CertificateTime { TestCA.now + .seconds(count * 3600) }

    /// A certificate that ends so many hours after the beginning.
    private static func subject(_ name: String, endsAfter hours: Int) throws -> ExpiryWatch.Subject {
        var options = TestCA.Options.endEntity
        options.notBefore = hour(-24)
        options.notAfter = hour(hours)
        return ExpiryWatch.Subject(name: name, certificate: try TestCA("ends").endEntity(name) { $0 = options }.certificate)
    }

    @Test func PKI15_toldInTimeAndAgainUntilTheEndAndAfterIt() async throws {
        let told = Told()
        let subjects = [try Self.subject("near", endsAfter: 100), try Self.subject("far", endsAfter: 10_000)]
        let reminder = ExpiryReminder(lead: .seconds(72 * 3600), repetition: .seconds(24 * 3600), subjects) { told.add($0, at: $1) }
        for hour in 0...110 { await reminder.tell(at: Self.hour(hour)) }
        #expect(told.take() == ["28 near", "52 near", "76 near", "100 near"])
        for hour in 111...130 { await reminder.tell(at: Self.hour(hour)) }
        #expect(told.take() == ["124 near expired"])
    }

    @Test func PKI15_withoutRepetitionOnce_withoutLeadNever() async throws {
        let told = Told()
        let subjects = [try Self.subject("near", endsAfter: 10)]
        let once = ExpiryReminder(lead: .seconds(72 * 3600), repetition: nil, subjects) { told.add($0, at: $1) }
        let never = ExpiryReminder(lead: nil, repetition: .seconds(3600), subjects) { told.add($0, at: $1) }
        for hour in 0...30 {
            await once.tell(at: Self.hour(hour))
            await never.tell(at: Self.hour(hour))
        }
        #expect(told.take() == ["0 near"])
    }

    @Test func PKI15_aReloadBringsOtherCertificatesAndTimes() async throws {
        let told = Told()
        let (lead, repetition) = (Duration.seconds(72 * 3600), Duration.seconds(24 * 3600))
        let old = try Self.subject("old", endsAfter: 10)
        let reminder = ExpiryReminder(lead: lead, repetition: repetition, [old]) { told.add($0, at: $1) }
        await reminder.tell(at: Self.hour(0))
        #expect(told.take() == ["0 old"])
        // the same again: nothing new to tell before its time
        await reminder.use(lead: lead, repetition: repetition, [old], at: Self.hour(1))
        #expect(told.take() == [])
        // one more that is near its end is told at once, the renewed one no longer
        let renewed = try Self.subject("old", endsAfter: 10_000)
        await reminder.use(lead: lead, repetition: repetition, [renewed, try Self.subject("new", endsAfter: 20)], at: Self.hour(2))
        #expect(told.take() == ["2 new"])
        for hour in 3...26 { await reminder.tell(at: Self.hour(hour)) }
        #expect(told.take() == ["26 new expired"])
        // another lead time counts from the reload on
        await reminder.use(lead: .seconds(20_000 * 3600), repetition: repetition, [renewed], at: Self.hour(27))
        #expect(told.take() == ["27 old"])
    }
}

/// A point on the wall clock, in whole seconds since 1970-01-01T00:00:00Z; always given, never read here (threats.md P40).
package struct CertificateTime: Hashable, Comparable, Sendable {
    package let unixSeconds: Int64

    package init(unixSeconds: Int64) { self.unixSeconds = unixSeconds }

    package static func < (left: CertificateTime, right: CertificateTime) -> Bool { left.unixSeconds < right.unixSeconds }

    /// Later by whole seconds; saturates.
    package static func + (time: CertificateTime, duration: Duration) -> CertificateTime {
        let (sum, overflow) = time.unixSeconds.addingReportingOverflow(duration.components.seconds)
        return CertificateTime(unixSeconds: overflow ? (duration < .zero ? .min : .max) : sum)
    }

    /// How much later the left is.
    package static func - (left: CertificateTime, right: CertificateTime) -> Duration {
        let (difference, overflow) = left.unixSeconds.subtractingReportingOverflow(right.unixSeconds)
        return .seconds(overflow ? (left > right ? .max : .min) : difference)
    }

    /// A date of the Gregorian calendar, UTC; nil for one that there is not.
    package init?(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        guard (0...9999).contains(year), (1...12).contains(month), day >= 1, day <= Self.days(in: month, of: year),
            (0...23).contains(hour), (0...59).contains(minute), (0...59).contains(second)
        else { return nil }
        let days = Self.day(year, month, day)
        unixSeconds = Int64(((days * 24 + hour) * 60 + minute) * 60 + second)
    }

    private static func isLeap(_ year: Int) -> Bool { year.isMultiple(of: 4) && (!year.isMultiple(of: 100) || year.isMultiple(of: 400)) }

    private static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Days since 1970-01-01; years counted from March, so that the leap day is the last.
    private static func day(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// Year, month, day, hour, minute, second; clamped to years 0 ... 9999.
    package var calendar: (year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
        let clamped = min(max(unixSeconds, -62_167_219_200), 253_402_300_799)
        let seconds = Int(clamped)
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let inDay = seconds - days * 86_400
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, inDay / 3600, inDay / 60 % 60, inDay % 60)
    }
}

extension CertificateTime: CustomStringConvertible {
    /// As RFC 3339 has it: 2030-12-31T08:30:00Z.
    package var description: String {
        let date = calendar
        return [Self.digits(date.year, 4), Self.digits(date.month, 2), Self.digits(date.day, 2)].joined(separator: "-") + "T"
            + [Self.digits(date.hour, 2), Self.digits(date.minute, 2), Self.digits(date.second, 2)].joined(separator: ":") + "Z"
    }

    private static func digits(_ value: Int, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
    }
}

// RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050, both with seconds and Z.
extension CertificateTime {
    init(parsing element: DERElement, of cursor: DERCursor) throws(DERError) {
        let text = cursor.content(element)
        let yearDigits: Int
        switch element.tag {
        case DER.Tag.utcTime: yearDigits = 2
        case DER.Tag.generalizedTime: yearDigits = 4
        default: throw .unexpectedTag
        }
        guard text.count == yearDigits + 11, text.last == UInt8(ascii: "Z") else { throw .badValue }
        var numbers: [Int] = []
        for digit in text.dropLast() {
            guard (48...57).contains(digit) else { throw .badValue }
            numbers.append(Int(digit) - 48)
        }
        var year = numbers.prefix(yearDigits).reduce(0) { $0 * 10 + $1 }
        if yearDigits == 2 { year += year < 50 ? 2000 : 1900 }
        let rest = Array(numbers.dropFirst(yearDigits))
        let pairs = stride(from: 0, to: rest.count, by: 2).map { rest[$0] * 10 + rest[$0 + 1] }
        guard pairs.count == 5,
            let time = CertificateTime(year: year, month: pairs[0], day: pairs[1], hour: pairs[2], minute: pairs[3], second: pairs[4])
        else { throw .badValue }
        self = time
    }

    package var der: [UInt8] {
        let date = calendar
        let isShort = (1950...2049).contains(date.year)
        let text =
            Self.digits(isShort ? date.year % 100 : date.year, isShort ? 2 : 4)
            + [date.month, date.day, date.hour, date.minute, date.second].map { Self.digits($0, 2) }.joined() + "Z"
        return DERWriting.element(isShort ? DER.Tag.utcTime : DER.Tag.generalizedTime, Array(text.utf8))
    }
}

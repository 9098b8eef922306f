internal import CoreMetrics
internal import Synchronization

/// One series of one metric.
protocol Instrument: AnyObject, Sendable {
    var kind: Exposition.Kind { get }
    /// The unit that ends the metric's name; empty is none.
    var unit: String { get }
    /// Writes the present value.
    func write(_ name: String, labels: String, help: String, to exposition: inout Exposition)
}

/// A count that only grows.
final class CounterInstrument: CounterHandler, Instrument {
    let kind = Exposition.Kind.counter
    let unit = ""
    private let value = Atomic<UInt64>(0)

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        value.wrappingAdd(UInt64(amount), ordering: .relaxed)
    }

    func reset() { value.store(0, ordering: .relaxed) }

    func write(_ name: String, labels: String, help: String, to exposition: inout Exposition) {
        exposition.sample(name, kind, help: help, labels: labels, value: String(value.load(ordering: .relaxed)))
    }
}

/// A value that goes up and down.
final class GaugeInstrument: MeterHandler, RecorderHandler, Instrument {
    let kind = Exposition.Kind.gauge
    let unit = ""
    private let value = Mutex(0.0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func increment(by amount: Double) { value.withLock { $0 += amount } }
    func decrement(by amount: Double) { value.withLock { $0 -= amount } }
    func record(_ value: Int64) { set(Double(value)) }
    func record(_ value: Double) { set(value) }

    func write(_ name: String, labels: String, help: String, to exposition: inout Exposition) {
        exposition.sample(name, kind, help: help, labels: labels, value: MetricText.number(value.withLock { $0 }))
    }
}

/// How values spread, in buckets.
final class HistogramInstrument: RecorderHandler, TimerHandler, Instrument {
    /// For times: 0.5 ms to 60 s.
    static let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    /// For counts and sizes.
    static let powersOfTen = [1.0, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000]

    private struct Values {
        /// By bucket, not cumulated; the last is above every bound.
        var counts: [UInt64]
        var sum = 0.0
    }

    let kind = Exposition.Kind.histogram
    let unit: String
    private let bounds: [Double]
    private let values: Mutex<Values>

    /// Bounds ascend.
    init(bounds: [Double], unit: String) {
        self.bounds = bounds
        self.unit = unit
        values = Mutex(Values(counts: [UInt64](repeating: 0, count: bounds.count + 1)))
    }

    func record(_ value: Int64) { record(Double(value)) }
    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }

    func record(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
        values.withLock { values in
            values.counts[bucket] &+= 1
            values.sum += value
        }
    }

    func write(_ name: String, labels: String, help: String, to exposition: inout Exposition) {
        let values = values.withLock { $0 }
        var total: UInt64 = 0
        for (count, bound) in zip(values.counts, bounds + [.infinity]) {
            total &+= count
            exposition.sample(
                name, kind, help: help, suffix: "_bucket", labels: MetricText.adding("le", MetricText.number(bound), to: labels),
                group: labels, value: String(total))
        }
        exposition.sample(name, kind, help: help, suffix: "_sum", labels: labels, group: labels, value: MetricText.number(values.sum))
        exposition.sample(name, kind, help: help, suffix: "_count", labels: labels, group: labels, value: String(total))
    }
}

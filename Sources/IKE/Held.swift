/// A value that cannot be copied, on the heap, with one owner: the stage that holds it. An optional of such a value inside a stage, which is itself
/// inside the enumeration of stages, is laid out wrongly by Swift 6.3 (seen: memory behind the IKE SA overwritten).
final class Held<Value: ~Copyable & Sendable>: @unchecked Sendable {
    // @unchecked: whoever owns the stage owns this; nothing else refers to it.
    var value: Value

    init(_ value: consuming Value) {
        self.value = value
    }
}

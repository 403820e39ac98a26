extension String {
    /// Each Unicode scalar as it is, or as `replacement` writes it: what quoting for other programs is made of.
    ///
    /// Not by Characters, as `replacing(_:with:)` goes: a quote with a combining mark behind it is one Character, which is no quote, and would go through unquoted.
    public func replacingScalars(_ replacement: (Unicode.Scalar) -> String?) -> String {
        var result = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            if let text = replacement(scalar) { result.append(contentsOf: text.unicodeScalars) } else { result.append(scalar) }
        }
        return String(result)
    }
}

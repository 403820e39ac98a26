/// Finds short vectors of an integer lattice: the algorithm of Lenstra, Lenstra and Lovász (1982), with exact rows and a Gram-Schmidt basis in
/// floating point. For a few dozen dimensions at most: it computes the basis anew for each step.
struct LatticeReduction {
    private(set) var rows: [[Int128]]

    init(_ rows: [[Int128]]) { self.rows = rows }

    mutating func reduce() {
        var step = 1
        while step < rows.count {
            var basis = GramSchmidt(rows, through: step)
            // Multiples are inexact in floating point: they are taken off again until nothing is left of them.
            while sizeReduce(step, basis) { basis = GramSchmidt(rows, through: step) }
            let mu = basis.coefficients[step][step - 1]
            if basis.squares[step] >= (0.99 - mu * mu) * basis.squares[step - 1] {
                step += 1
            } else {
                rows.swapAt(step, step - 1)
                step = max(step - 1, 1)
            }
        }
    }

    /// True when something was taken off.
    private mutating func sizeReduce(_ row: Int, _ basis: GramSchmidt) -> Bool {
        var mu = basis.coefficients[row]
        var isChanged = false
        for other in (0..<row).reversed() {
            guard abs(mu[other]) > 0.51 else { continue }
            let multiple = mu[other].rounded()
            isChanged = true
            let factor = Int128(multiple)
            for column in rows[row].indices { rows[row][column] &-= factor &* rows[other][column] }
            for column in 0..<other { mu[column] -= multiple * basis.coefficients[other][column] }
            mu[other] -= multiple
        }
        return isChanged
    }
}

private struct GramSchmidt {
    private(set) var coefficients: [[Double]] = []
    private(set) var squares: [Double] = []

    init(_ rows: [[Int128]], through last: Int) {
        var vectors: [[Double]] = []
        for row in rows[...last] {
            let own = row.map { Double($0) }
            var vector = own
            var mu: [Double] = []
            for (other, square) in zip(vectors, squares) {
                var product = 0.0
                for column in own.indices { product += own[column] * other[column] }
                let coefficient = square == 0 ? 0 : product / square
                mu.append(coefficient)
                for column in own.indices { vector[column] -= coefficient * other[column] }
            }
            var square = 0.0
            for value in vector { square += value * value }
            vectors.append(vector)
            squares.append(square)
            coefficients.append(mu)
        }
    }
}

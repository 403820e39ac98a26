import NumbersTesting
import RepoBase

extension SeededNumbers {
    mutating func hash() -> Hash256 { Hash256(words: next(), next(), next(), next()) }
}

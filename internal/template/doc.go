// Package template is the language of Azure Resource Manager's templates: documents, parameters, expressions in square
// brackets, copy loops, conditions and dependencies. It knows no server: what lives outside of a template it asks of a
// [Runtime], and the time is handed in.
//
// All that it reads comes from outside and is bounded: the size and depth of documents and expressions, the number of
// resources and loop turns, the steps of an evaluation and the bytes that it makes.
package template

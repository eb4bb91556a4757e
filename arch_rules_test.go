package tintype_test

// The rules that arch_test.go applies, one function each. They read syntax only.

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

func importsFlowOneWay(all []source) (bad []string) {
	for _, s := range all {
		allowed, known := mayImport[s.dir()]
		if !known {
			bad = append(bad, s.path+": package "+s.dir()+" is not in the import table")
			continue
		}
		if s.isTest() {
			continue
		}
		for _, spec := range s.file.Imports {
			p, _ := strconv.Unquote(spec.Path.Value)
			rel, ours := strings.CutPrefix(p, module+"/")
			if p == module {
				rel, ours = ".", true
			}
			if ours && !slices.Contains(allowed, rel) {
				bad = append(bad, fmt.Sprintf("%s: %s must not import %s", s.at(spec), s.dir(), rel))
			}
		}
	}
	return bad
}

func packagesHaveComments(all []source) (bad []string) {
	has := map[string]bool{}
	for _, s := range all {
		if s.isTest() {
			continue
		}
		doc := s.file.Doc.Text()
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command "
		}
		has[s.dir()] = has[s.dir()] || strings.HasPrefix(doc, want)
	}
	for dir, ok := range has {
		if !ok {
			bad = append(bad, dir+": no package comment that begins with its name")
		}
	}
	slices.Sort(bad)
	return bad
}

func packageNamesMeanSomething(all []source) (bad []string) {
	for _, s := range all {
		if slices.Contains(badNames, s.file.Name.Name) {
			bad = append(bad, s.path+": a package named "+s.file.Name.Name+" says nothing")
		}
	}
	return bad
}

func filesAndFunctionsAreShort(all []source) (bad []string) {
	for _, s := range all {
		if n := strings.Count(s.text, "\n"); n > maxFileLines {
			bad = append(bad, fmt.Sprintf("%s: %d lines, at most %d", s.path, n, maxFileLines))
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			fn, ok := n.(*ast.FuncDecl)
			if ok && s.lines(fn) > maxFuncLines {
				bad = append(bad, fmt.Sprintf("%s: %s has %d lines, at most %d", s.at(fn), fn.Name.Name, s.lines(fn), maxFuncLines))
			}
			return true
		})
	}
	return bad
}

func exportedNamesHaveComments(all []source) (bad []string) {
	contracts := map[string]bool{} // "folder.Type": asserted to implement an interface, where the comments are
	for _, s := range all {
		for _, name := range implementers(s) {
			contracts[s.dir()+"."+name] = true
		}
	}
	for _, s := range all {
		if s.isTest() || s.file.Name.Name == "main" {
			continue
		}
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv != nil {
				owner := receiver(fn.Recv)
				if owner == "" || contracts[s.dir()+"."+owner] || slices.Contains(errorMethods, fn.Name.Name) {
					continue
				}
			}
			for _, name := range undocumented(decl) {
				bad = append(bad, s.at(name)+": exported "+name.Name+" has no comment")
			}
		}
	}
	return bad
}

// errorMethods mean the same on every type.
var errorMethods = []string{"Error", "Unwrap", "Is", "String"}

// implementers lists the types T that s declares to implement an interface, by var _ I = (*T)(nil) or T{}.
func implementers(s source) (names []string) {
	for _, decl := range s.file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, spec := range gen.Specs {
			v := spec.(*ast.ValueSpec)
			if v.Names[0].Name != "_" || v.Type == nil || len(v.Values) != 1 {
				continue
			}
			ast.Inspect(v.Values[0], func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					names = append(names, id.Name)
				}
				return true
			})
		}
	}
	return names
}

// undocumented lists the exported names that decl leaves without a comment. In a group, the group's comment or one
// beside the name will do for constants and variables.
func undocumented(decl ast.Decl) (names []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch v := spec.(type) {
			case *ast.TypeSpec:
				if v.Name.IsExported() && v.Doc == nil && (d.Doc == nil || d.Lparen.IsValid()) {
					names = append(names, v.Name)
				}
			case *ast.ValueSpec:
				for _, name := range v.Names {
					if name.IsExported() && v.Doc == nil && v.Comment == nil && d.Doc == nil {
						names = append(names, name)
					}
				}
			}
		}
	}
	return names
}

// receiver gives the name of a method's type, or "" when it is not exported.
func receiver(recv *ast.FieldList) string {
	t := recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			if !x.IsExported() {
				return ""
			}
			return x.Name
		default:
			return ""
		}
	}
}

func (b ban) allows(s source) bool {
	if s.isTest() && !b.everywhere {
		return true
	}
	for folder := range b.except {
		if s.dir() == folder || strings.HasPrefix(s.dir(), folder+"/") {
			return true
		}
	}
	return false
}

func noBannedCalls(all []source) (bad []string) {
	for _, s := range all {
		for _, b := range bans {
			if b.allows(s) {
				continue
			}
			for _, n := range b.uses(s) {
				bad = append(bad, fmt.Sprintf("%s: %s: %s", s.at(n), b.pkg, b.why))
			}
		}
	}
	return bad
}

// uses finds the import, or where names of it are used, as a call or as a value.
func (b ban) uses(s source) (found []ast.Node) {
	if len(b.names) == 0 {
		for _, spec := range s.file.Imports {
			if spec.Path.Value == strconv.Quote(b.pkg) {
				found = append(found, spec)
			}
		}
		return found
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		x, ok := sel.X.(*ast.Ident)
		if ok && x.Obj == nil && s.names[x.Name] == b.pkg && slices.Contains(b.names, sel.Sel.Name) {
			found = append(found, sel)
		}
		return true
	})
	return found
}

func noShell(all []source) (bad []string) {
	shells := []string{"sh", "bash", "dash", "/bin/sh", "/bin/bash"}
	for _, s := range all {
		if s.isTest() { // a test may play the user, who sources env.sh
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !strings.HasPrefix(sel.Sel.Name, "Command") {
				return true
			}
			for _, arg := range call.Args {
				lit, ok := arg.(*ast.BasicLit)
				if !ok {
					continue
				}
				if word, err := strconv.Unquote(lit.Value); err == nil && slices.Contains(shells, word) {
					bad = append(bad, s.at(call)+": a program is started by its name and arguments, never through a shell")
				}
			}
			return true
		})
	}
	return bad
}

func noInit(all []source) (bad []string) {
	for _, s := range all {
		for _, decl := range s.file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				bad = append(bad, s.at(fn)+": wiring is explicit: no init()")
			}
		}
	}
	return bad
}

// globalsAreConstant finds assignments to package variables inside functions.
func globalsAreConstant(all []source) (bad []string) {
	vars := map[string]map[string]bool{} // folder → names
	for _, s := range all {
		if vars[s.dir()] == nil {
			vars[s.dir()] = map[string]bool{}
		}
		for _, decl := range s.file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.VAR {
				continue
			}
			for _, spec := range gen.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					vars[s.dir()][name.Name] = true
				}
			}
		}
	}
	for _, s := range all {
		for _, target := range assigned(s) {
			if isPackageVar(s, target, vars[s.dir()]) {
				bad = append(bad, s.at(target)+": package variable "+target.Name+" is changed: no global state")
			}
		}
	}
	return bad
}

// assigned lists the variables that s assigns to, an element's or field's owner included.
func assigned(s source) (targets []*ast.Ident) {
	add := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				targets = append(targets, x)
				return
			default:
				return
			}
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.AssignStmt:
			if x.Tok != token.DEFINE {
				for _, e := range x.Lhs {
					add(e)
				}
			}
		case *ast.IncDecStmt:
			add(x.X)
		}
		return true
	})
	return targets
}

func isPackageVar(s source, id *ast.Ident, vars map[string]bool) bool {
	if id.Name == "_" || !vars[id.Name] {
		return false
	}
	if id.Obj == nil { // declared in another file of the package
		return true
	}
	return s.file.Scope.Lookup(id.Name) == id.Obj
}

func tlsIsVerified(all []source) (bad []string) {
	for _, s := range all {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == "InsecureSkipVerify" {
				bad = append(bad, s.at(id)+": certificates are always verified")
			}
			return true
		})
	}
	return bad
}

func noBadWords(all []source) (bad []string) {
	for _, s := range all {
		for _, word := range badWords {
			if strings.Contains(s.text, word) {
				bad = append(bad, s.path+": contains "+word)
			}
		}
		if !s.isTest() && strings.Contains(s.text, outsideWord) {
			bad = append(bad, s.path+": names a folder outside of the repository")
		}
	}
	return bad
}

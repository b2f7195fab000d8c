package limit

import "container/list"

// line is who waits at a gate. Each level of it exists only as long as somebody
// waits there, so names that are gone take no memory.
type line struct {
	projects list.List // of *projectLine, in the order of their turns
	byName   map[string]*projectLine
	waiting  int
}

type projectLine struct {
	name       string
	turn       *list.Element // in the line's projects
	principals list.List     // of *principalLine, in the order of their turns
	byName     map[string]*principalLine
	waiting    int
}

type principalLine struct {
	name    string
	project *projectLine
	turn    *list.Element // in the project's principals
	waiters list.List     // of *waiter, in order of arrival
}

// waiter is one caller in line.
type waiter struct {
	// answer is sent once, when the waiter is taken out of the line by another:
	// nil with a place. It has room for it, so nobody waits to send.
	answer    chan error
	principal *principalLine
	place     *list.Element // in the principal's waiters; nil when no longer in line
}

// join puts a caller at the end of its principal's line. A project has only so
// much room. When it is used up, the principal with most of it gives way, the
// last to come first, if that makes the shares more equal; otherwise the caller
// gets nil. A principal's only waiter so never gives way: else two principals
// could push each other out in turn, and the busier would win.
func (l *line) join(c Caller, room int) *waiter {
	project := l.byName[c.Project]
	if project != nil && project.waiting >= room {
		most, own := project.most(), project.waitingOf(c.Principal)
		if most.waiters.Len() < own+2 {
			return nil
		}
		last := most.waiters.Back().Value.(*waiter)
		l.remove(last)
		last.answer <- ErrQueueFull
	}
	if project == nil {
		project = l.add(c.Project)
	}
	principal := project.byName[c.Principal]
	if principal == nil {
		principal = project.add(c.Principal)
	}
	w := &waiter{answer: make(chan error, 1), principal: principal}
	w.place = principal.waiters.PushBack(w)
	project.waiting++
	l.waiting++
	return w
}

// next takes out the one whose turn it is, and moves its project and principal
// behind the others. It is nil when nobody waits.
func (l *line) next() *waiter {
	if l.waiting == 0 {
		return nil
	}
	project := l.projects.Front().Value.(*projectLine)
	principal := project.principals.Front().Value.(*principalLine)
	w := principal.waiters.Front().Value.(*waiter)
	l.projects.MoveToBack(project.turn)
	project.principals.MoveToBack(principal.turn)
	l.remove(w)
	return w
}

// remove takes w out, and tells whether it still was in line.
func (l *line) remove(w *waiter) bool {
	if w.place == nil {
		return false
	}
	principal := w.principal
	project := principal.project
	principal.waiters.Remove(w.place)
	w.place = nil
	project.waiting--
	l.waiting--
	if principal.waiters.Len() == 0 {
		project.principals.Remove(principal.turn)
		delete(project.byName, principal.name)
	}
	if project.waiting == 0 {
		l.projects.Remove(project.turn)
		delete(l.byName, project.name)
	}
	if l.waiting == 0 {
		l.byName = nil // a map keeps the size that it once had
	}
	return true
}

func (l *line) add(name string) *projectLine {
	if l.byName == nil {
		l.byName = make(map[string]*projectLine)
	}
	project := &projectLine{name: name, byName: make(map[string]*principalLine)}
	project.turn = l.projects.PushBack(project)
	l.byName[name] = project
	return project
}

func (p *projectLine) add(name string) *principalLine {
	principal := &principalLine{name: name, project: p}
	principal.turn = p.principals.PushBack(principal)
	p.byName[name] = principal
	return principal
}

func (p *projectLine) waitingOf(principal string) int {
	if q := p.byName[principal]; q != nil {
		return q.waiters.Len()
	}
	return 0
}

// most is the principal with most waiters; of several, the one whose turn is
// farthest. It looks at no more principals than may wait in one project.
func (p *projectLine) most() *principalLine {
	var most *principalLine
	for e := p.principals.Front(); e != nil; e = e.Next() {
		if q := e.Value.(*principalLine); most == nil || q.waiters.Len() >= most.waiters.Len() {
			most = q
		}
	}
	return most
}

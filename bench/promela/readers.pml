/* readers: -DN=…. A writer of x; each reader reads a cell of its own, then x. */
byte x;
byte own[N];

active [N] proctype reader()
{
#ifdef AS_WRITTEN
	byte t;

	t = own[_pid];
	t = x
#else
	own[_pid] == 0;
	(x == 0 || x == 42);
end:	false
#endif
}

active proctype writer()
{
	x = 42;
#ifndef AS_WRITTEN
end:	false
#endif
}

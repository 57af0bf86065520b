/* lastzero: -DN=…. Writer j sets a[j] = a[j-1] + 1, the reader looks for the last zero. */
byte a[N + 1];

active [N] proctype writer()
{
	byte t = 0;

	t = a[_pid];
#ifdef AS_WRITTEN
	a[_pid + 1] = t + 1
#else
	d_step { a[_pid + 1] = t + 1; t = 0 };
end:	false
#endif
}

active proctype reader()
{
	byte i = N;

#ifdef AS_WRITTEN
	do
	:: a[i] != 0 -> i--
	:: else -> break
	od
#else
	do
	:: d_step { a[i] != 0 -> i-- }
	:: a[i] == 0 -> break
	od;
end:	false
#endif
}

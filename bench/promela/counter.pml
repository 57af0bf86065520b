/* counter: -DN=… threads, each t = x; x = t + 1. */
byte x;

active [N] proctype thread()
{
	byte t = 0;

	t = x;
#ifdef AS_WRITTEN
	x = t + 1
#else
	d_step { x = t + 1; t = 0 };
end:	false
#endif
}

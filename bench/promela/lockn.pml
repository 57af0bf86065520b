/* lockn: -DN=… threads lock and unlock one mutex. */
bit mutex;

active [N] proctype thread()
{
#ifdef AS_WRITTEN
	atomic { mutex == 0 -> mutex = 1 };
	mutex = 0
#else
	d_step { mutex == 0 -> mutex = 1 };
	mutex = 0;
end:	false
#endif
}
